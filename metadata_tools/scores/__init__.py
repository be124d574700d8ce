"""Read scores, and assign their parts to instruments."""
