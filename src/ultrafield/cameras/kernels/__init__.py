"""Compiled loops of cameras."""
