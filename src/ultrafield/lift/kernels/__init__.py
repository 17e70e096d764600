"""Compiled loops of votes and patches."""
