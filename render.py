"""The published rendering command; see `ultrafield.commands.published`."""

import sys

from ultrafield.commands.published import render_main

if __name__ == "__main__":
    sys.exit(render_main())
