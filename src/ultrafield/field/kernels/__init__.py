"""Backends of the hot operations: numba for the CPU, Triton for CUDA, plain PyTorch as the readable reference."""
