"""Compiled loops of contrastive comparisons."""
