"""Convert a scan to network input, and maps back to the grid of the scan. This package does not import Keras.

`Preprocessing` is a configuration that is saved with a model as JSON. `read_nifti` checks a header before it allocates
memory. `data_prep` uses both, so a new scan is prepared exactly like the training data.
"""

from keras_uq.preprocessing.nifti import BadScan, Scan, read_geometry, read_nifti
from keras_uq.preprocessing.pipeline import Geometry, Preprocessing

__all__ = ["BadScan", "Geometry", "Preprocessing", "Scan", "read_geometry", "read_nifti"]
