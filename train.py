"""The published training command; see `ultrafield.commands.published`."""

import sys

from ultrafield.commands.published import train_main

if __name__ == "__main__":
    sys.exit(train_main())
