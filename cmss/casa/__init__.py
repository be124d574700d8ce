"""Implements computational auditory scene analysis (CASA) after Brown and Cooke (1994).

The paper is Brown and Cooke, "Computational auditory scene analysis", Computer Speech and Language
8(4). A cochlear filterbank and a model of hair cells compute firing rates. The periodicity of the
firing rate is measured in each channel. A segment is a region of channels and frames that a single
sound dominates; segments with a common pitch are grouped.
"""
