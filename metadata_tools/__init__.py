"""Makes and checks data in the challenge's layout."""
