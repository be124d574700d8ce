"""Read the input of the commands: their options, and downloaded packages."""
