"""Medical image segmentation in Keras 3 whose predictions know what they do not know.

Subpackages load on first use, so that `keras_uq.preprocessing` works without Keras. Wherever Keras is loaded, the
losses and metrics are too: a model saved with one of them loads again after `import keras_uq`.
"""

import importlib
import sys

from keras_uq import _registration
from keras_uq._version import __version__

SUBPACKAGES = ("callbacks", "inference", "losses", "metrics", "models", "plots", "preprocessing", "statistics")

__all__ = ["__version__", *SUBPACKAGES]


def __getattr__(name):
    if name in SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)


if "keras" in sys.modules:
    _registration.register()
else:
    sys.meta_path.insert(0, _registration.RegisterAfterKeras())
