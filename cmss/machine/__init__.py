"""Hardware and runtime: the processor, devices, memory, and compiled functions."""
