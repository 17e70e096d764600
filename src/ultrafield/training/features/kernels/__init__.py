"""Compiled loops of feature training."""
