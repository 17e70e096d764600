"""The published mask hierarchy command; see `ultrafield.published.masks`."""

import sys

from ultrafield.published.masks import hierarchy_main

if __name__ == "__main__":
    sys.exit(hierarchy_main())
