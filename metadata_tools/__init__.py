"""Programs that make or check data in the challenge's layout."""
