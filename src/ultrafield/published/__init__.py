"""The published commands: their options, files and rules, on top of the pipeline."""
