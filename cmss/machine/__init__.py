"""Manages the processor, devices, memory, compiled functions and extension packages."""
