"""Pure functions of tensors: from waveforms to frames and back."""
