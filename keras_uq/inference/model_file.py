"""Save and load a model in one file, with its preprocessing, the type of its channels, its window and quality card."""

import errno
import json
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_uq._kinds import Flag, Integer, Items, argument, shown
from keras_uq.files import BadFile, check, gibibytes, parse, replacing, sweep
from keras_uq.inference.model_archive import check_model_archive, opened, read_member
from keras_uq.inference.model_checks import bounded_weights, check_network
from keras_uq.inference.quality import QualityCard
from keras_uq.preprocessing import Preprocessing

# Names of our members in the zip archive that a .keras file is.
PREPROCESSING = "keras_uq/preprocessing.json"
CHANNELS = "keras_uq/channels.json"
QUALITY = "keras_uq/quality.json"
WINDOW = "keras_uq/window.json"
SIDES = Items(Integer(1, 16384), least=1, most=3)
# Failures of the disk or the system, which say nothing about the model.
SYSTEM = {
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO", "EMFILE", "ENFILE", "EACCES", "EPERM")
    if hasattr(errno, name)
}
# Words of Keras when it refuses code or files of a model in safe mode.
REFUSED = ("arbitrary code execution", "sensitive files", "disallowed", "Not allowed")


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
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} for the model file {path.name}.")
    argument("save_model", "multilabel", multilabel, Flag())
    for name, value, kind in (("preprocessing", preprocessing, Preprocessing), ("quality", quality, QualityCard)):
        if not isinstance(value, kind) and not (name == "quality" and value is None):
            raise ValueError(f"save_model expects `{name}` to be a {kind.__name__}. Received: {shown(value)}.")
    window = None if window is None else argument("save_model", "window", tuple(window), SIDES)
    sweep(path.parent)
    try:
        with replacing(path) as temporary:
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
                    archive.writestr(WINDOW, json.dumps({"window": list(window)}))
    except OSError as error:
        raise _system(error, f"the model file {path} was written") from error


def load_model(path: str | os.PathLike) -> keras.Model:
    """Load the model of a `.keras` file, uncompiled and in safe mode.

    The file may come from a stranger. Archive, configuration and weights are checked before Keras reads them.

    Raises:
        ValueError: If the file is missing or holds no model, if it asks for more memory than
            `keras_uq.files.max_memory()`, if its layers need code that has not been imported, or if it is no model that
            segments (see `check_network`).
        OSError: If the disk is full, or the file cannot be read.
    """
    path = Path(path)
    with opened(path) as archive:
        size = check_model_archive(archive, path)
        unpacked, folder = sum(member.file_size for member in archive.infolist()), tempfile.gettempdir()
    # Keras leaves its temporary folder behind when the disk is full.
    if (free := shutil.disk_usage(folder).free) < unpacked:
        raise OSError(
            f"No space left on device: {path} needs {gibibytes(unpacked)} in {folder} while it is loaded, and "
            f"{gibibytes(free)} are free. Make room, or set TMPDIR to another folder."
        )
    if path.suffix != ".keras":
        raise BadFile(f"{path} holds a Keras model. Rename it to end in .keras, by which Keras knows its models.")
    try:
        with bounded_weights(str(path), size):
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except BadFile:
        raise
    except Exception as error:  # Keras, its backends and HDF5 raise errors of many types.
        disk = _disk(error)
        if disk is not None:
            raise _system(disk, f"the model file {path} was unpacked to {folder}") from error
        raise BadFile(f"{path} {_reason(error)}") from error
    if not isinstance(model, keras.Model):
        raise BadFile(f"{path} cannot be loaded as a Keras model: it holds a {type(model).__name__}.")
    check_network(model, str(path))
    return model


def read_preprocessing(path: str | os.PathLike) -> Preprocessing | None:
    """Read the `Preprocessing` that `save_model` stored in the file, or `None` if there is none."""
    text, source = _addition(path, PREPROCESSING)
    return None if text is None else Preprocessing.from_json(text, source)


def read_multilabel(path: str | os.PathLike) -> bool:
    """Whether the model was saved with `multilabel=True`."""
    text, source = _addition(path, CHANNELS)
    return text is not None and check(parse(text, source, once=True), {"multilabel": Flag()}, source)["multilabel"]


def read_quality(path: str | os.PathLike) -> QualityCard | None:
    """Read the `QualityCard` that `save_model` stored in the file, or `None` if there is none."""
    text, source = _addition(path, QUALITY)
    return None if text is None else QualityCard.from_json(text, source)


def read_window(path: str | os.PathLike) -> tuple[int, ...] | None:
    """Read the sides of the windows that `save_model` stored in the file, or `None` if there are none."""
    text, source = _addition(path, WINDOW)
    return None if text is None else check(parse(text, source, once=True), {"window": SIDES}, source)["window"]


def _addition(path, name):
    """Content of one of our members, or `None`, and what errors call it."""
    with opened(path) as archive:
        return read_member(archive, name, path), f"{path} ({name})"


def _disk(error):
    """The failure of the disk or the system behind an error, or `None`."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in SYSTEM:
            return error
        error = error.__cause__ or error.__context__
    return None


def _system(error, doing):
    """The same failure of the system, which says what was going on."""
    failure = OSError(f"{error.strerror or error} while {doing}.")
    failure.errno = error.errno
    return failure


def _reason(error):
    """Why Keras cannot load a model, from the end of its text: before it stands the configuration."""
    text = str(error)
    layers = re.findall(r"deserializing class '(\w+)' using config=\{'name': '([^']*)'", text)
    text = text.rpartition("Exception encountered:")[2]
    unknown = re.search(r"Could not locate (?:class|function) '([^']*)'", text)
    if unknown:
        module = re.search(r"'module': '([^']*)'", text)
        name = f"{module[1]}.{unknown[1]}" if module else unknown[1]
        return (
            f"cannot be loaded as a Keras model: it needs {shown(name)}, which Keras does not know. If you trust "
            "it, import the module that registers it (keras.saving.register_keras_serializable) first."
        )
    unknown = re.search(r"Could not deserialize (?:\w+ )?'([^']*)' because", text)
    if unknown:
        return (
            f"cannot be loaded as a Keras model: it needs {shown(unknown[1])}, which Keras {keras.__version__} does "
            "not have. Was the model saved by another version of Keras?"
        )
    for words in ("Full config:", "Full object config:", "If you trust", "List of objects"):
        text = text.partition(words)[0]
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    text = text if len(text) <= 300 else f"{text[:297]}..."
    if any(words in text for words in REFUSED):
        return f"is refused for safety: {text}"
    if isinstance(error, (zipfile.BadZipFile, EOFError, zlib.error)):
        return f"is damaged: a member cannot be read ({text}). Copy it again."
    if layers:
        if re.search(r"not supported between|object is not|must be (?:real|str)|indices must", text):
            text = f"it is of a wrong type ({text})"
        text = f"layer {shown(layers[-1][1])} ({layers[-1][0]}) has a setting that Keras refuses: {text}"
    elif isinstance(error, KeyError):
        text = f"a layer of its configuration (config.json) lacks the setting {text}"
    elif isinstance(error, (AttributeError, IndexError, TypeError)):
        text = f"its configuration (config.json) is damaged or of another version of Keras: {text}"
    return f"cannot be loaded as a Keras model: {text}"
