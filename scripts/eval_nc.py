"""The published evaluation command; see `ultrafield.commands.published_evaluate`."""

import sys

from ultrafield.commands.published_evaluate import evaluate_main

if __name__ == "__main__":
    sys.exit(evaluate_main("nc"))
