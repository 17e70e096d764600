"""Compiled loops of the published commands."""
