"""The published 3D segmentation command; see `ultrafield.published.segment`."""

from ultrafield.start import start

if __name__ == "__main__":
    start("3dseg.py", "ultrafield.published.segment", "main")
