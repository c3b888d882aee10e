"""Make Keras know our losses and metrics, whichever of `keras` and `keras_uq` is imported first.

Keras finds a saved loss only if its class is registered when the model is loaded. Importing Keras takes seconds and
data preparation needs none of it, so `import keras_uq` does not import Keras: it waits for somebody who does.
"""

import importlib
import importlib.util
import sys
from importlib.abc import MetaPathFinder


def register():
    """Import the modules whose classes and functions Keras has to find in a saved model."""
    importlib.import_module("keras_uq.losses")
    importlib.import_module("keras_uq.metrics")


class RegisterAfterKeras(MetaPathFinder):
    """Call `register` as soon as somebody else has imported Keras."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("keras")
        if spec is not None:
            execute = spec.loader.exec_module

            def execute_then_register(module):
                execute(module)
                register()

            spec.loader.exec_module = execute_then_register
        return spec
