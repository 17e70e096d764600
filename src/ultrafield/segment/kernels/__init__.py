"""Compiled loops behind `segment`; import them inside the function that needs them."""
