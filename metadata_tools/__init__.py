"""Makes and checks data sets in the challenge's layout."""
