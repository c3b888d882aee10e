"""The command `keras-uq`, also as `python -m keras_uq`."""

import sys

from keras_uq.inference.command import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
