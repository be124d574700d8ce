"""A listener's hearing: prescription, hearing aid, and the quality index HAAQI."""
