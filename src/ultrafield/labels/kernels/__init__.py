"""Compiled loops of label maps."""
