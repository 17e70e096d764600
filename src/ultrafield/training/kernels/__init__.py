"""Triton kernels of training on a GPU; imported only by the functions that need them."""
