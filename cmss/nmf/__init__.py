"""Non-negative matrix factorisation: spectrograms as templates times their activations.

A spectrogram V (bands, frames) is modelled as the sum over components k and lags tau of
W[tau, :, k] H[k, frame - tau]: a template of one or several frames, W (lags, bands, components),
sounds wherever its activation H (components, frames) is not zero. With one lag this is the matrix
product W H.
"""
