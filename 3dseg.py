"""The published 3D segmentation command; see `ultrafield.commands.published_segment`."""

import sys

from ultrafield.commands.published_segment import main

if __name__ == "__main__":
    sys.exit(main())
