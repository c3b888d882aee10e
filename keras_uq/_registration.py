"""Register our losses and metrics with Keras, whichever of `keras` and `keras_uq` is imported first.

Keras finds the class of a saved loss only if the class is registered when the model is loaded. `import keras_uq` cannot
simply import Keras for that: it would take seconds, and data preparation does not need Keras. Therefore
`RegisterAfterKeras` stays in `sys.meta_path` until Keras is imported, and registers the losses then. Until then, it
costs one comparison of strings for each module that is imported for the first time.
"""

import importlib
import importlib.util
import sys
from importlib.abc import MetaPathFinder


def register():
    """Import the modules with the classes and functions that Keras has to find when it loads a model."""
    importlib.import_module("keras_uq.losses")
    importlib.import_module("keras_uq.metrics")


class RegisterAfterKeras(MetaPathFinder):
    """Finder of `keras` that calls `register` once Keras has been imported. It finds nothing else."""

    def find_spec(self, name, path=None, target=None):
        """The module spec of Keras, with a loader that registers the losses at the end; `None` for other modules."""
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("keras")
        if spec is not None:
            load = spec.loader.exec_module

            def load_and_register(module):
                load(module)
                register()

            spec.loader.exec_module = load_and_register
        return spec
