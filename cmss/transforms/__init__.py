"""Defines signal transforms and their inverses as pure functions of tensors."""
