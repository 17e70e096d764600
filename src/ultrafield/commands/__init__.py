"""The subcommands, one module each: a frozen dataclass of options and the function that carries them out.

Nothing heavy is imported at module level, so that `--help` answers at once.
"""
