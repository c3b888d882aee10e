"""From official archives to prepared folders. Imports no Keras, and of `keras_uq` only `preprocessing`."""
