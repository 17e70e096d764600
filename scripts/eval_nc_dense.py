"""The published evaluation command; see `ultrafield.published.evaluate`."""

import sys

from ultrafield.published.evaluate import evaluate_main

if __name__ == "__main__":
    sys.exit(evaluate_main("nc_dense"))
