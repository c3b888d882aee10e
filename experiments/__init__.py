"""Run the papers' tables with `keras_uq` on prepared data. Each cell is a separate job."""

import os

from keras_uq import _quiet

# Before TensorFlow is imported: its training is otherwise not deterministic on a CPU, and a resumed cell would not end
# like an uninterrupted one.
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
_quiet.install()
