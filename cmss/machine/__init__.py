"""Manages the processor, the devices, the memory and compiled functions."""
