"""The published rendering command; see `ultrafield.published.train`."""

from ultrafield.start import start

if __name__ == "__main__":
    start("render.py", "ultrafield.published.train", "render_main")
