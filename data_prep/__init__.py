"""Prepare official archives for training. Imports no Keras, and only `preprocessing` of `keras_uq`."""
