"""Compiled loops of exports."""
