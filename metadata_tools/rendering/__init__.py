"""Rendering of stems: the sampler, rooms, and the plan of a data set."""
