"""Numba kernels of the ultrametric operations; imported only by the functions that need them."""
