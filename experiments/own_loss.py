"""A row for a loss of the user's own, which a command names as `module:Class`."""

import importlib
import inspect
import json

import keras

from experiments.failures import last_line
from experiments.table import Row


def own_row(name):
    """A row for a loss: `module:Class`, importable from the working folder, or `module:object`.

    Raises:
        ValueError: If there is no such loss, its module or class fails, or it is none of `keras.losses.Loss`.
    """
    module, _, attribute = name.partition(":")
    expected = (
        "Expected module:Class, such as my_losses:MyLoss for a class without required arguments in my_losses.py of "
        "this folder, or module:object for a loss that is made there."
    )
    if not module or not attribute:
        raise ValueError(f"--loss {name} names no loss. {expected}")
    try:
        loss = getattr(importlib.import_module(module), attribute)
        loss = loss() if inspect.isclass(loss) else loss
    except (Exception, SystemExit) as error:  # Code of the user's, which may raise anything.
        raise ValueError(f"--loss {name} cannot be used: {last_line(error)}. {expected}") from error
    if not isinstance(loss, keras.losses.Loss):
        raise ValueError(
            f"--loss {name} is a {type(loss).__name__}. Expected a keras.losses.Loss: Keras reshapes what it gives to "
            "plain functions, which then measure something else."
        )
    try:
        json.dumps(keras.saving.serialize_keras_object(loss))
    except Exception as error:
        raise ValueError(
            f"--loss {name} cannot be recorded: {last_line(error)}. Expected a `get_config` of plain numbers, text, "
            "lists and dictionaries."
        ) from error
    return Row(attribute, loss)
