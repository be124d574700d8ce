"""Training of separators: stems in memory, random mixtures of them, losses, and the loop."""
