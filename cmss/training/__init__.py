"""Training of separators, ensembles, post-filters and templates."""
