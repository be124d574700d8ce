"""Hardware and runtime: processor, devices, memory, compiled functions."""
