"""Save and load a model in one file, with its preprocessing, the type of its channels, its window and quality card."""

import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_uq.inference.quality import QualityCard
from keras_uq.preprocessing import Preprocessing

# Names of our members in the zip archive that a .keras file is.
PREPROCESSING = "keras_uq/preprocessing.json"
CHANNELS = "keras_uq/channels.json"
QUALITY = "keras_uq/quality.json"
WINDOW = "keras_uq/window.json"


def save_model(
    model: keras.Model,
    path: str | os.PathLike,
    preprocessing: Preprocessing,
    multilabel: bool = False,
    quality: QualityCard | None = None,
    window: Sequence[int] | None = None,
) -> None:
    """Write a model and its preprocessing to one `.keras` file. Loading it needs no code of this package.

    Args:
        model: A Keras model. Its loss, optimizer and metrics are not saved.
        path: File to write, ending in `.keras`. The file appears only when it is complete.
        preprocessing: The `Preprocessing` that the model was trained with.
        multilabel: Whether the model's channels are independent foreground classes (see `exclusive`).
        quality: A fitted `QualityCard`, or `None`.
        window: Sides of the windows that the model was trained on, for `SlidingWindow`; `None` for a model of slices.

    The additions are separate members of the zip archive. `keras.saving.load_model` ignores them, and they are lost if
    the loaded model is saved again with Keras.
    """
    path = Path(path)
    if path.suffix != ".keras":
        raise ValueError(f"Expected a path that ends in .keras. Received: {path.name!r}.")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
        temporary = Path(folder) / path.name
        # A compiled model would save its loss and optimizer; a copy made from its configuration is not compiled.
        copy = model.__class__.from_config(model.get_config()) if model.compiled else model
        if copy is not model:
            copy.set_weights(model.get_weights())
        copy.save(temporary)
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(PREPROCESSING, preprocessing.to_json())
            if multilabel:
                archive.writestr(CHANNELS, json.dumps({"multilabel": True}))
            if quality is not None:
                archive.writestr(QUALITY, quality.to_json())
            if window is not None:
                archive.writestr(WINDOW, json.dumps({"window": [int(side) for side in window]}))
        os.replace(temporary, path)


def load_model(path: str | os.PathLike) -> keras.Model:
    """Load the model of a `.keras` file, uncompiled and in safe mode.

    Raises:
        ValueError: If the file is missing or holds no model, or if its layers need code that has not been imported.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no model file {path}.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (TypeError, ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path.name} cannot be loaded as a Keras model: {error}") from error


def read_preprocessing(path: str | os.PathLike) -> Preprocessing | None:
    """Read the `Preprocessing` that `save_model` stored in the file, or `None` if there is none."""
    text = _read(path, PREPROCESSING)
    return None if text is None else Preprocessing.from_json(text)


def read_multilabel(path: str | os.PathLike) -> bool:
    """Whether the model was saved with `multilabel=True`."""
    text = _read(path, CHANNELS)
    return text is not None and bool(json.loads(text)["multilabel"])


def read_quality(path: str | os.PathLike) -> QualityCard | None:
    """Read the `QualityCard` that `save_model` stored in the file, or `None` if there is none."""
    text = _read(path, QUALITY)
    return None if text is None else QualityCard.from_json(text)


def read_window(path: str | os.PathLike) -> tuple[int, ...] | None:
    """Read the sides of the windows that `save_model` stored in the file, or `None` if there are none."""
    text = _read(path, WINDOW)
    return None if text is None else tuple(json.loads(text)["window"])


def _read(path, member):
    with zipfile.ZipFile(path) as archive:
        return archive.read(member).decode() if member in archive.namelist() else None
