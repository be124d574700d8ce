"""What a command is given: its options and the packages that it reads."""
