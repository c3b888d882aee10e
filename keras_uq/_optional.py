"""Import optional packages, with an error that names the extra to install."""

import importlib
from types import ModuleType


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import `module`, or raise an `ImportError` that says what to install.

    Args:
        module: Dotted name of the module.
        extra: Extra of this package that installs it.
        purpose: Subject of the error message, such as "Plotting".
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{purpose} needs {module.split(".")[0]}, which is not installed: pip install "keras-uq[{extra}]".'
        ) from error
