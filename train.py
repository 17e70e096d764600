"""The published training command; see `ultrafield.published.train`."""

from ultrafield.start import start

if __name__ == "__main__":
    start("train.py", "ultrafield.published.train", "train_main")
