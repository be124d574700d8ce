"""Scores, their parts, and the instruments that play them."""
