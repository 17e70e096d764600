"""`python -m ultrafield`: the command line."""

from .start import program

if __name__ == "__main__":
    program()
