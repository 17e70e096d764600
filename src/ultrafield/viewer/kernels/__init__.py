"""Compiled loops over the points that are shown."""
