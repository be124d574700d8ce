"""Results to look at: figures."""
