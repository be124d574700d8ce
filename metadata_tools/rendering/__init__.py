"""How notes become stems: the sampler, rooms, and the plan of a rendering."""
