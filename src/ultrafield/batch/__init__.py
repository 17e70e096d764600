"""Many scenes on many machines: what is to be done, workers on a Ray cluster, and what came of it."""
