"""Trained weights, each with the log of its training, and the ensemble that was fitted to them."""
