"""Input of the commands: their options, and the packages that they read."""
