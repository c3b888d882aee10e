"""Medical image segmentation with uncertainty in Keras 3.

Subpackages are imported on first use, so that `keras_uq.preprocessing` works without Keras. As soon as Keras is
imported, the losses and metrics are too, so that a saved model that uses them can be loaded after `import keras_uq`.
"""

import importlib
import sys
from typing import TYPE_CHECKING

from keras_uq import _registration
from keras_uq._version import __version__

__all__ = [
    "__version__",
    "callbacks",
    "inference",
    "losses",
    "metrics",
    "models",
    "plots",
    "preprocessing",
    "statistics",
]

if TYPE_CHECKING:
    # Editors and type checkers do not run `__getattr__`.
    from keras_uq import callbacks, inference, losses, metrics, models, plots, preprocessing, statistics
else:

    def __getattr__(name):
        if name in __all__:
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)


if "keras" in sys.modules:
    _registration.register()
else:
    sys.meta_path.insert(0, _registration.RegisterAfterKeras())
