"""The published training command; see `ultrafield.published.train`."""

import sys

from ultrafield.published.train import train_main

if __name__ == "__main__":
    sys.exit(train_main())
