"""The published 3D segmentation command; see `ultrafield.published.segment`."""

import sys

from ultrafield.published.segment import main

if __name__ == "__main__":
    sys.exit(main())
