"""Optional packages: import one, or say which extra installs it."""

import importlib


def require(module, extra, purpose):
    """Import `module`, or raise an `ImportError` that says what to install.

    Args:
        module: Dotted name.
        extra: The extra of this package that installs it.
        purpose: Subject of the message, such as "Plotting".
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f'{purpose} needs {module.split(".")[0]}, which is not installed: pip install "keras-uq[{extra}]".'
        ) from error
