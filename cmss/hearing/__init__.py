"""Models a listener's hearing by the prescription, the hearing aid and the quality index HAAQI."""
