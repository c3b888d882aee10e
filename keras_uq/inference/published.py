"""A model file that carries what its scans need: preprocessing, meaning of its channels, window, quality card."""

import json
import os
import tempfile
import zipfile
from pathlib import Path

import keras

from keras_uq.inference.quality import QualityCard
from keras_uq.preprocessing import Preprocessing

MEMBER = "keras_uq/preprocessing.json"
CHANNELS = "keras_uq/channels.json"
QUALITY = "keras_uq/quality.json"
WINDOW = "keras_uq/window.json"


def save_model(model, path, preprocessing, multilabel=False, quality=None, window=None):
    """Write a model and its preprocessing to one `.keras` file that needs neither our code nor a compiler to load.

    Args:
        model: A Keras model; its loss, optimizer and metrics are left out.
        path: File to write, ending in `.keras`. It appears whole or not at all.
        preprocessing: A `Preprocessing`.
        multilabel: Its channels are independent foreground classes (see `exclusive`).
        quality: A fitted `QualityCard`, or `None`.
        window: Sides of the windows it was trained on, for `SlidingWindow`; `None` for a model of slices.

    These are further members of the archive, which `keras.saving.load_model` ignores; saving the loaded model again
    with Keras loses them.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise ValueError(f"Expected a path that ends in .keras. Received: {path.name!r}.")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
        whole = Path(folder) / path.name
        # The configuration holds the compilation of a compiled model; a copy made from it has none.
        copy = model.__class__.from_config(model.get_config()) if model.compiled else model
        if copy is not model:
            copy.set_weights(model.get_weights())
        copy.save(whole)
        with zipfile.ZipFile(whole, "a") as archive:
            archive.writestr(MEMBER, preprocessing.to_json())
            if multilabel:
                archive.writestr(CHANNELS, json.dumps({"multilabel": True}))
            if quality is not None:
                archive.writestr(QUALITY, quality.to_json())
            if window is not None:
                archive.writestr(WINDOW, json.dumps({"window": [int(side) for side in window]}))
        os.replace(whole, path)


def load_model(path):
    """Load the model of a `.keras` file, uncompiled and in safe mode.

    Raises:
        ValueError: If the file is missing or holds no model, or its layers need code that was not imported.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no model file {path}.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (TypeError, ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} cannot be loaded as a Keras model: {error}") from error


def read_preprocessing(path):
    """The `Preprocessing` that `save_model` put beside the model, or `None` if the file has none."""
    text = _read(path, MEMBER)
    return None if text is None else Preprocessing.from_json(text)


def read_multilabel(path):
    """Whether `save_model` was told that the model's channels are independent."""
    text = _read(path, CHANNELS)
    return text is not None and bool(json.loads(text)["multilabel"])


def read_quality(path):
    """The `QualityCard` that `save_model` put beside the model, or `None` if the file has none."""
    text = _read(path, QUALITY)
    return None if text is None else QualityCard.from_json(text)


def read_window(path):
    """Sides of the windows that `save_model` was told, or `None`."""
    text = _read(path, WINDOW)
    return None if text is None else tuple(json.loads(text)["window"])


def _read(path, member):
    with zipfile.ZipFile(path) as archive:
        return archive.read(member).decode() if member in archive.namelist() else None
