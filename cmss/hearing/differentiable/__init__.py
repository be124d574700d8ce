"""The hearing aid and HAAQI in torch, with gradients."""
