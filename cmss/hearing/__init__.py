"""Models of a listener's hearing: the prescription, the hearing aid and the quality index HAAQI."""
