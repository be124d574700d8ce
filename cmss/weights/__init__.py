"""Trained weights, each with the log of its training."""
