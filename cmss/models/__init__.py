"""Separation networks: plain torch modules, one file each, without file access or segmenting."""
