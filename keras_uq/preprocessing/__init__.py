"""From a scan to network input, and from maps back to the scan's own grid. Needs no Keras.

`Preprocessing` is a configuration that travels with a model as JSON. `read_nifti` checks a header before it
allocates memory. `data_prep` uses the same two, so a network sees in practice what it saw in training.
"""

from keras_uq.preprocessing.nifti import BadScan, Scan, read_geometry, read_nifti
from keras_uq.preprocessing.pipeline import Geometry, Preprocessing

__all__ = ["BadScan", "Geometry", "Preprocessing", "Scan", "read_geometry", "read_nifti"]
