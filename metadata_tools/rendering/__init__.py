"""Renders stems from scores: plans a data set, plays recorded notes, and simulates rooms."""
