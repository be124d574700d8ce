"""Implements differentiable versions of the hearing aid and of HAAQI in PyTorch."""
