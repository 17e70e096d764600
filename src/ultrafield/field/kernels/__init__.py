"""Backends of the hot operations: numba for the CPU, plain PyTorch for CUDA."""
