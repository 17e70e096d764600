"""Compiled loops behind `metrics`; import them inside the function that needs them."""
