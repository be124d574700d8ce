"""Files that appear whole or not at all, and rows in them: nothing here knows what a run is."""
