"""Models a spectrogram as templates times activations (non-negative matrix factorisation).

A spectrogram V (bands, frames) is modelled as the sum over components k and lags tau of W[tau, :,
k] H[k, frame - tau]. The array W (lags, bands, components) contains a template of one or several
frames for each component. The array H (components, frames) contains the activations: the template
of a component starts at each frame in which the activation of the component is not zero. With a
single lag, the model is the matrix product W H.
"""
