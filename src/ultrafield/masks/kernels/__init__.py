"""Compiled loops over packed masks."""
