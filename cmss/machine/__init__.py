"""What the machine has and allows: processor, devices, memory, compiled kernels."""
