"""Computational auditory scene analysis (CASA) after Brown and Cooke (1994).

G. J. Brown and M. Cooke, "Computational auditory scene analysis", Computer Speech and Language
8(4). The steps are: a cochlear filterbank, the firing rates of hair cells, their periodicity in
each channel, segments of channels and frames that a single sound dominates, and groups of segments
with a common pitch.
"""
