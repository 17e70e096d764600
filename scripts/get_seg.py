"""Stands for the published command that runs SAM; see `ultrafield.commands.published_masks`."""

import sys

from ultrafield.commands.published_masks import seg_main

if __name__ == "__main__":
    sys.exit(seg_main())
