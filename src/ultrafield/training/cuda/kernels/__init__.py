"""Compiled loops of training on CUDA."""
