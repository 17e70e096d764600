"""Training of the feature field on finished geometry."""
