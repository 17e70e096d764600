"""Numba loops of the commands; imported inside the functions that need them."""
