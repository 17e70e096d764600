"""Compiled loops of geometry training."""
