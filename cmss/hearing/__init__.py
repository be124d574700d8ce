"""Implements the prescription, the hearing aid and the quality index HAAQI for a listener."""
