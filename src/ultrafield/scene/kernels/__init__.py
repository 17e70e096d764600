"""Compiled loops of quality reports."""
