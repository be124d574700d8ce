"""Non-negative matrix factorisation: spectrograms as templates times their activations.

A spectrogram V (bands, frames) is modelled as the sum over components k and lags tau of
W[tau, :, k] H[k, frame - tau]. Each component has a template of one or several frames, in
W (lags, bands, components), which is repeated wherever its activation in H (components, frames) is
not zero. With a single lag this is the matrix product W H.
"""
