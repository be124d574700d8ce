"""Separation networks: plain torch modules, one file each; no input or output, no segmenting."""
