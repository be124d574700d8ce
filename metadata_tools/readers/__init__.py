"""Read published data sets: names of stems, decoding, and the options of all readers."""
