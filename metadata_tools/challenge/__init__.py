"""Write data in the challenge's layout, and plan how to unpack the challenge's packages."""
