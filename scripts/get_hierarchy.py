"""The published mask hierarchy command; see `ultrafield.commands.published_masks`."""

import sys

from ultrafield.commands.published_masks import hierarchy_main

if __name__ == "__main__":
    sys.exit(hierarchy_main())
