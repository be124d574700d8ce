"""Results to look at and to listen to: figures, and the page that shows them."""
