"""Render stems: plan a data set, play recorded notes, and simulate rooms."""
