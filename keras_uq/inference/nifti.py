"""Predict a NIfTI scan and write its uncertainty maps as NIfTI files with the same geometry."""

import contextlib
import datetime
import errno
import functools
import json
import math
import os
import platform
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import keras
import nibabel
import numpy as np

from keras_uq._version import __version__
from keras_uq.files import gibibytes, max_memory, replacing, stamp, write_text
from keras_uq.inference.model_checks import check_scan
from keras_uq.inference.model_file import load_model
from keras_uq.inference.predictor import Predictor
from keras_uq.inference.quality import QualityCard
from keras_uq.inference.sidecar import MAPS, map_path, scan_name, sidecar_path
from keras_uq.preprocessing import BadScan, Preprocessing, read_geometry, read_nifti


def predict_nifti(
    predictor: Predictor,
    path: str | os.PathLike,
    out_dir: str | os.PathLike,
    preprocessing: Preprocessing,
    maps: Sequence[str] = MAPS,
    batch_size: int | None = None,
    quality: QualityCard | None = None,
    models: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Path]:
    """Write the uncertainty maps of a scan: all of them and the JSON file beside them, or nothing.

    Args:
        predictor: A `Predictor` of 2D networks, such as `MCDropout` or `Ensemble`, which predicts the scan slice by
            slice, or a `SlidingWindow` of a 3D network, which predicts the whole scan.
        path: Scan, `.nii` or `.nii.gz`, `(x, y, z)` or `(x, y, z, channels)`.
        out_dir: Folder for `<scan>_<map>.nii.gz` and `<scan>_uncertainty.json`; it is created if it does not exist.
        preprocessing: The `Preprocessing` that the model was trained with.
        maps: Names of the maps to write: `mean` and `std` (probability), `variance`, `mask` (class numbers), `entropy`
            and `mutual_information` (nats). With two or more classes the first three have a last axis of classes.
        batch_size: Number of slices or windows predicted at a time; 8 slices or 1 window by default.
        quality: A `QualityCard`. Its statement about each class of the scan is added to the JSON file.
        models: What `stamp_models` returned of the model files before they were loaded. By default, that of the files
            of an `Ensemble`; for models in memory, the JSON file has `null`.

    Returns:
        `{map: path}` of the written files. They have the scan's affine, units and grid: maps are resampled bilinearly,
        the mask by nearest neighbour. The JSON file records samples, seed, layers, preprocessing and versions, and the
        sha256 of scan, models and maps.

    Raises:
        BadScan: If the scan cannot be read, holds values that are not finite, or needs too much memory.
        ValueError: If the scan's channels do not match the model, if a map is unknown, or if a file has changed while
            it was used.
        OSError: If the folder cannot be written.
    """
    path, out_dir = Path(path), Path(out_dir)
    unknown = set(maps) - set(MAPS)
    if unknown or not maps:
        raise ValueError(f"predict_nifti expects `maps` to be some of {MAPS}. Received: {tuple(maps)}.")
    window, files = _window(predictor), _model_files(predictor)
    loaded = stamp_models(files) if files else None
    models = loaded if models is None else list(models)
    _check_header(predictor, window, path, preprocessing, quality)
    out_dir.mkdir(parents=True, exist_ok=True)
    _check_names(path, out_dir)
    before = _stamp(path)
    scan = read_nifti(path)
    if _stamp(path, before)["sha256"] != before["sha256"]:
        raise BadScan("unreadable", f"{path.name} has changed while it was read. Predict it again.")
    images, geometry = preprocessing.image(scan.voxels, scan.scaled_affine)
    affine, header = scan.affine, scan.header
    del scan  # The voxels are not needed any more.
    whole = window is not None and len(window) == 3
    # The dropout masks depend on the scan's name, so the maps do not depend on the order of the scans.
    case = zlib.crc32(scan_name(path).encode("utf-8", "surrogateescape"))
    result = predictor.predict(
        images[np.newaxis] if whole else images, batch_size=batch_size or (1 if whole else 8), case=case
    )
    del images
    if whole:
        result = result[0]
    if loaded and [entry["sha256"] for entry in stamp_models(files)] != [entry.get("sha256") for entry in models]:
        raise ValueError(f"A model file has changed while {path.name} was predicted. Predict it again.")
    record = {
        "scan": path.name,
        "predictor": predictor.describe(),
        "samples": result.samples,
        "preprocessing": json.loads(preprocessing.to_json()),
        "models": models,
        "maps": {name: map_path(path, out_dir, name).name for name in maps},
        **_quality(quality, result.mean),
        "units": {"mean": "probability", "std": "probability", "entropy": "nat", "mutual_information": "nat"},
        "versions": {
            "keras_uq": __version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "python": platform.python_version(),
        },
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "notice": "For research. Not a medical device.",
        "stamps": {"scan": before},
    }
    written = {name: map_path(path, out_dir, name) for name in maps}

    def write(name, file):
        _write_nifti(_on_the_scan(geometry, name, result), affine, header, file)

    _write_all(written, write, sidecar_path(path, out_dir), record)
    return written


# Stamps of model files by path, so that a file is read once in a process and not once a scan.
_NOTED = {}


def stamp_models(files: Sequence[str | os.PathLike]) -> list[dict[str, Any]]:
    """Return what identifies the content of model files: name, sha256 and the facts of `keras_uq.files.stamp`."""
    for file in files:
        _NOTED[os.fspath(file)] = stamp(file, _NOTED.get(os.fspath(file)))
    return [{"file": Path(file).name, **_NOTED[os.fspath(file)]} for file in files]


def memory_needed(shape: Sequence[int], grid: Sequence[int], classes: int) -> int:
    """Return how many bytes of voxels `predict_nifti` holds for a scan, known before anything is read.

    All of them are float32. These are the scan itself; the network's input; on its grid the six arrays of
    `UncertaintyMaps` (three of all classes, three without); and either one sample and the weights of the windows, or
    one map on the grid of the scan with a working copy. Keras, and what a network needs for one batch, come on top:
    measured peaks are 0.9 to 1.1 times this number.

    Args:
        shape: `(x, y, z)` or `(x, y, z, channels)` of the scan.
        grid: `(depth, height, width)` of the network's input.
        classes: Number of channels of the maps.
    """
    scan, network = math.prod(shape[:3]), math.prod(grid)
    channels = shape[3] if len(shape) > 3 else 1
    return 4 * (channels * (scan + network) + (3 * classes + 3) * network + (classes + 1) * max(scan, network))


def number_of_classes(predictor: Any) -> int | None:
    """Return the number of channels of a predictor's maps; `None` if its models do not know it."""
    predictor, model = _innermost(predictor)
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or shape[-1] is None:
        return None
    return shape[-1] + bool(getattr(predictor, "multilabel", False))


def first_model(predictor: Any) -> Any:
    """Return the first Keras model behind a predictor, whatever it is wrapped in; `None` if there is none."""
    return _innermost(predictor)[1]


def check_quality(quality: QualityCard | None, classes: int | None) -> None:
    """Raise `ValueError` if a quality card has another number of foreground classes than the maps."""
    if quality is None or classes is None:
        return
    foreground = max(classes - 1, 1)
    if len(quality.classes) != foreground:
        raise ValueError(
            f"The quality card has {len(quality.classes)} foreground classes; the model has {foreground}. Use the card "
            "that was fitted for this model."
        )


def _innermost(predictor):
    """The predictor that holds the first model, and this model or `None`."""
    while hasattr(predictor, "predictor"):  # SlidingWindow, TemperatureScaling.
        predictor = predictor.predictor
    members = getattr(predictor, "models", None)
    if not members:
        return predictor, getattr(predictor, "model", None)
    if isinstance(members[0], (str, os.PathLike)):
        (entry,) = stamp_models(members[:1])
        return predictor, _loaded(os.fspath(members[0]), entry["sha256"])
    return (predictor, members[0]) if isinstance(members[0], keras.Model) else _innermost(members[0])


@functools.lru_cache(maxsize=1)
def _loaded(path, sha256):
    """The first model of an ensemble of files. It is kept, because every scan is compared with its shapes."""
    del sha256  # A file with another content is loaded again.
    return load_model(path)


def _window(predictor):
    while not hasattr(predictor, "window") and hasattr(predictor, "predictor"):  # TemperatureScaling.
        predictor = predictor.predictor
    return getattr(predictor, "window", None)


def _model_files(predictor):
    """The files that an ensemble loads anew for every scan."""
    while hasattr(predictor, "predictor"):
        predictor = predictor.predictor
    members = getattr(predictor, "models", ())
    return list(members) if all(isinstance(member, (str, os.PathLike)) for member in members) else []


def _check_header(predictor, window, path, preprocessing, quality):
    """Check all that a header tells, before voxels are read: channels, sides, memory and number of classes."""
    shape, affine = read_geometry(path)
    grid = preprocessing.output_shape(shape, affine)
    channels = shape[3] if len(shape) > 3 else 1
    _check_sides(first_model(predictor), (*(grid[1:] if window is None else window), channels), path)
    classes = number_of_classes(predictor)
    check_quality(quality, classes)
    needed, limit = memory_needed(shape, grid, classes or 1), max_memory()
    if needed > limit:
        raise BadScan(
            "too_large",
            f"{path.name} has {' x '.join(map(str, shape))} voxels ({' x '.join(map(str, grid))} for the network). Its "
            f"prediction needs {gibibytes(needed)} of memory; the limit is {gibibytes(limit)} (KERAS_UQ_MAX_MEMORY).",
        )


# Shapes that a model is known to take, so that scans of one shape cost one check.
_TAKEN = WeakKeyDictionary()


def _check_sides(model, shape, path):
    """Check that a model takes images `(*spatial, channels)`."""
    if model is not None and shape not in _TAKEN.get(model, ()):
        check_scan(model, (1, *shape), path.name)
        _TAKEN.setdefault(model, set()).add(shape)


def _check_names(path, out_dir):
    """Find out whether the folder can hold the longest name of an output."""
    try:
        os.lstat(map_path(path, out_dir, max(MAPS, key=len)))
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise ValueError(
            f"{path.name}: its name is too long to be that of its maps as well. Give the scan a shorter name."
        ) from None


def _stamp(path, noted=None):
    try:
        return stamp(path, noted)
    except OSError as error:
        raise BadScan("unreadable", f"{path.name} cannot be read ({error.strerror or error}).") from error


def _quality(card, probabilities):
    """The JSON entries of a quality card: its statements about the scan, and the card itself."""
    if card is None:
        return {}
    return {"quality": card.read(probabilities), "quality_card": json.loads(card.to_json())}


def _on_the_scan(geometry, name, result):
    """One map on the grid of the scan."""
    if name == "mask":
        return geometry.restore(result.mask, "nearest")
    volume = getattr(result, name)
    if volume.ndim == 3:
        return geometry.restore(volume)
    classes, restored = volume.shape[-1], None
    for index in range(classes):
        # Voxels outside the network's input are background.
        outside = 1 if name == "mean" and classes > 1 and index == 0 else 0
        channel = geometry.restore(np.ascontiguousarray(volume[..., index]), outside=outside)
        if classes == 1:
            return channel
        if restored is None:
            restored = np.empty((*channel.shape, classes), channel.dtype)
        restored[..., index] = channel
    return restored


def _write_nifti(data, affine, header, path):
    header = header.copy()
    header.set_data_dtype(data.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
    nibabel.save(kind(data, affine, header), path)


def _write_all(files, write, sidecar, record):
    """Write the maps under temporary names, rename them, and write the JSON file last. Failures leave none of them."""
    replaced = False
    try:
        with contextlib.ExitStack() as stack:
            temporary = {name: stack.enter_context(replacing(file)) for name, file in files.items()}
            for name, file in temporary.items():
                write(name, file)
            stamps = {name: stamp(file) for name, file in temporary.items()}
            replaced = True  # While maps are renamed, no JSON file must describe them.
            sidecar.unlink(missing_ok=True)
        record["stamps"]["maps"] = {name: _stamp_renamed(file, stamps[name]) for name, file in files.items()}
        write_text(sidecar, json.dumps(record, indent=2))
    except BaseException:
        for file in files.values() if replaced else ():
            with contextlib.suppress(OSError):
                file.unlink()
        raise


def _stamp_renamed(file, noted):
    """The stamp of a file after its renaming, which has changed nothing but its change time."""
    after = stamp(file, {**noted, "changed_ns": os.stat(file).st_ctime_ns})
    if after["sha256"] != noted["sha256"]:
        raise ValueError(f"{file.name} has been replaced by another process while it was written. Run one at a time.")
    return after
