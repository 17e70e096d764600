"""The published rendering command; see `ultrafield.published.train`."""

import sys

from ultrafield.published.train import render_main

if __name__ == "__main__":
    sys.exit(render_main())
