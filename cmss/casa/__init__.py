"""Computational auditory scene analysis after Brown and Cooke (1994).

G. J. Brown and M. Cooke, "Computational auditory scene analysis", Computer Speech and Language
8(4): filters of the cochlea, the firing of hair cells, its periodicity in each filter, regions of
filters and frames that one sound moves, and groups of regions with one pitch.
"""
