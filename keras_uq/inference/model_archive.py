"""Look into a `.keras` file from a stranger before Keras does: a zip archive with a configuration and weights."""

import contextlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py

from keras_uq._kinds import Anything, Integer, Maybe, Mismatch, shown
from keras_uq.files import BadFile, check, gibibytes, max_memory, parse

CONFIG, WEIGHTS = "config.json", ("model.weights.h5", "model.weights.npz")
# Largest additions of ours and largest configuration of a model, in bytes; most members, and most layers and settings.
MAX_ADDITION, MAX_CONFIG, MAX_MEMBERS, MAX_OBJECTS = 2**20, 16 * 2**20, 10_000, 100_000
# Deepest nesting of a configuration.
MAX_DEPTH = 200
# What a number may be in the settings of a layer that decide about its size.
SIZE = Integer(1, 2**20)
SIZES = ("filters", "units", "kernel_size", "pool_size", "num_heads", "key_dim", "value_dim", "output_dim")


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[zipfile.ZipFile]:
    """Open a model file whose members have been checked: their number, names, compression and declared sizes.

    Raises:
        ValueError: If there is no such file.
        BadFile: If it is no zip archive, or one that no `.keras` file is; the message says what it is instead.
        OSError: If it cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no model file {path}.")
    try:
        archive = zipfile.ZipFile(path)
    except PermissionError:
        raise
    except Exception as error:  # A damaged directory of the archive ends in errors of many types.
        raise BadFile(f"{path} is no Keras model: {_what_it_is(path)}") from error
    with archive:
        _check_members(archive, path)
        yield archive


def read_member(archive: zipfile.ZipFile, name: str, path: str | os.PathLike, most: int = MAX_ADDITION) -> bytes | None:
    """Return the content of a member of at most `most` bytes, or `None` if the archive has no such member.

    Raises:
        BadFile: If it is larger or damaged; sizes that the archive declares are not trusted.
    """
    if name not in archive.namelist():
        return None
    size = archive.getinfo(name).file_size
    if size > most:
        raise BadFile(f"{path}: its member {name} has {size} bytes; expected at most {most}.")
    try:
        with archive.open(name) as member:
            content = member.read(most + 1)
    except Exception as error:  # Damaged members end in errors of `zipfile`, `zlib`, `struct` and `OSError`.
        raise BadFile(f"{path} is damaged: its member {name} cannot be read ({error}). Copy it again.") from error
    if len(content) > most:
        raise BadFile(f"{path}: its member {name} is larger than the {most} bytes that are expected.")
    return content


def check_model_archive(archive: zipfile.ZipFile, path: str | os.PathLike) -> int:
    """Check configuration and weights before Keras reads them. Returns the bytes of the weights file.

    Raises:
        BadFile: If configuration or weights are missing or damaged, or declare more memory than `max_memory()`.
    """
    config = read_member(archive, CONFIG, path, MAX_CONFIG)
    stored = [name for name in WEIGHTS if name in archive.namelist()]
    if config is None or not stored:
        raise BadFile(
            f"{path} is no Keras model: it is a zip archive without {CONFIG if config is None else WEIGHTS[0]}. Save "
            "the model with keras_uq.inference.save_model."
        )
    source = f"{path} ({CONFIG})"
    _check_config(parse(config, source), source)
    if stored[0].endswith(".h5"):
        limit = max_memory()
        _check_weights(read_member(archive, stored[0], path, limit), stored[0], path, limit)
    return archive.getinfo(stored[0]).file_size


def _what_it_is(path):
    """What a file that is no zip archive is, and what to do about it."""
    with open(path, "rb") as file:
        start = file.read(8)
    if not start:
        return "it is empty. Copy it again, or save the model again."
    if start == b"\x89HDF\r\n\x1a\n":
        if path.name.endswith(".weights.h5"):
            return (
                "it is an HDF5 file with weights only. Build the model in Python, call model.load_weights with this "
                "file, and save it with keras_uq.inference.save_model."
            )
        return (
            "it is an HDF5 file, as older versions of Keras write. Load it in Python with keras.saving.load_model, and "
            "save it with keras_uq.inference.save_model."
        )
    if start.startswith(b"PK\x03\x04"):
        return "it is a zip archive that is damaged or ends early. Copy it again."
    return "a .keras file is a zip archive, and this is none. Save the model with keras_uq.inference.save_model."


def _check_members(archive, path):
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(members) > MAX_MEMBERS:
        raise BadFile(f"{path} has {len(members)} members; expected at most {MAX_MEMBERS}.")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise BadFile(f"{path} has members twice: {shown(twice)}. Which one counts is unknown: save the model again.")
    for member in members:
        name = member.filename
        if name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/"):
            raise BadFile(f"{path} is refused for safety: its member {shown(name)} would be written elsewhere.")
        if member.flag_bits & 1:
            raise BadFile(f"{path} is encrypted. Unpack it with its password and zip it again without one.")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadFile(f"{path}: its member {shown(name)} is neither stored nor deflated. Save the model again.")
    total, limit = sum(member.file_size for member in members), max_memory()
    if total > limit:
        raise BadFile(f"{path} declares {gibibytes(total)} of content; {_limit(limit)}.")


def _check_weights(content, name, path, limit):
    """Check that a weights file can be read, and what its arrays would take."""
    sizes = []
    try:
        with h5py.File(io.BytesIO(content)) as file:
            file.visititems(lambda _, item: sizes.append(getattr(item, "nbytes", 0)))
    except Exception as error:  # Damaged HDF5 files end in errors of many types.
        raise BadFile(
            f"{path} is damaged: its weights ({name}) cannot be read ({error}). Copy it again, or save the model again."
        ) from error
    if sum(sizes) > limit:
        raise BadFile(f"{path} declares {gibibytes(sum(sizes))} of weights; {_limit(limit)}.")


def _check_config(config, source):
    """Check the structure of a model's configuration, and the sizes of its layers one by one."""
    check(config, {"class_name": Anything(), "config": Anything()}, source, others=True)
    if not isinstance(config["class_name"], str) or not isinstance(config["config"], dict):
        raise BadFile(f"{source}: expected the `class_name` and the `config` of a model. Received: {shown(config)}.")
    layers = config["config"].get("layers", [])
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise BadFile(f"{source}: expected `layers` to be a list of layers. Received: {shown(layers)}.")
    objects, waiting = 0, [(config, 0)]
    while waiting:
        entry, depth = waiting.pop()
        objects += 1
        if depth > MAX_DEPTH or objects > MAX_OBJECTS:
            raise BadFile(f"{source} is nested too deeply or has too many entries for a model.")
        if isinstance(entry, dict):
            _check_sizes(entry, source)
        values = entry.values() if isinstance(entry, dict) else entry
        waiting += [(value, depth + 1) for value in values if isinstance(value, (dict, list))]


def _check_sizes(layer, source):
    config = layer.get("config")
    if not isinstance(config, dict) or not str(layer.get("module")).startswith("keras"):
        return
    for name in SIZES:
        value = config.get(name)
        try:
            for side in value if isinstance(value, list) else [value]:
                Maybe(SIZE).read(side)
        except Mismatch:
            raise BadFile(
                f"{source}: expected `{name}` of layer {shown(config.get('name'))} to be {SIZE}, or a list of such. "
                f"Received: {shown(value)}."
            ) from None


def _limit(limit):
    return f"the limit is {gibibytes(limit)} (KERAS_UQ_MAX_MEMORY)"
