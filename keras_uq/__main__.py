"""The command `keras-uq`, also as `python -m keras_uq`, without TensorFlow's start-up lines."""

import sys

from keras_uq import _quiet


def main():
    """Run the command of `keras_uq.inference.command`. Returns the exit status."""
    _quiet.install()  # Before the import below, which imports Keras.
    from keras_uq.inference import command

    return command.main()


if __name__ == "__main__":
    sys.exit(main())
