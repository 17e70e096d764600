"""Training steps on CUDA, each recorded once as a CUDA graph and replayed."""
