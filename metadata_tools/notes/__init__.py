"""Single notes: read, synthesised, and written to a folder that `render` reads."""
