"""Stands for the published command that runs SAM; see `ultrafield.published.masks`."""

import sys

from ultrafield.published.masks import seg_main

if __name__ == "__main__":
    sys.exit(seg_main())
