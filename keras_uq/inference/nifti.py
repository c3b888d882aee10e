"""Predict a NIfTI scan and write its uncertainty maps as NIfTI files with the same geometry."""

import datetime
import json
import os
import platform
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import nibabel
import numpy as np

from keras_uq._version import __version__
from keras_uq.files import replacing, write_text
from keras_uq.inference.quality import QualityCard
from keras_uq.preprocessing import Preprocessing, read_nifti

MAPS = ("mean", "mask", "entropy", "std", "variance", "mutual_information")


def scan_name(path: str | os.PathLike) -> str:
    """Return the file name of a scan without `.nii` or `.nii.gz`."""
    return Path(path).name.removesuffix(".gz").removesuffix(".nii")


def sidecar_path(path: str | os.PathLike, out_dir: str | os.PathLike) -> Path:
    """Return the path of the JSON file that is written after the maps of a scan."""
    return Path(out_dir) / f"{scan_name(path)}_uncertainty.json"


def predict_nifti(
    predictor: Any,
    path: str | os.PathLike,
    out_dir: str | os.PathLike,
    preprocessing: Preprocessing,
    maps: Sequence[str] = MAPS,
    batch_size: int | None = None,
    quality: QualityCard | None = None,
) -> dict[str, Path]:
    """Write the uncertainty maps of a scan.

    Args:
        predictor: An `MCDropout` or `Ensemble` of 2D networks, which predicts the scan slice by slice, or a
            `SlidingWindow` of a 3D network, which predicts the whole scan.
        path: Scan, `.nii` or `.nii.gz`, `(x, y, z)` or `(x, y, z, channels)`.
        out_dir: Folder for `<scan>_<map>.nii.gz` and `<scan>_uncertainty.json`; it is created if it does not exist.
        preprocessing: The `Preprocessing` that the model was trained with.
        maps: Names of the maps to write: `mean` and `std` (probability), `variance`, `mask` (class numbers), `entropy`
            and `mutual_information` (nats). With two or more classes the first three have a last axis of classes.
        batch_size: Number of slices or windows predicted at a time; 8 slices or 1 window by default.
        quality: A `QualityCard`. Its statement about each class of the scan is added to the JSON file.

    Returns:
        `{map: path}` of the written files. They have the scan's affine, units and grid: maps are resampled bilinearly,
        the mask by nearest neighbour. The JSON file records samples, seed, layers, preprocessing and versions.

    Raises:
        BadScan: If the scan cannot be read.
        ValueError: If the scan's channels do not match the model, or a map is unknown.
        OSError: If the folder cannot be written.
    """
    path, out_dir = Path(path), Path(out_dir)
    unknown = set(maps) - set(MAPS)
    if unknown:
        raise ValueError(f"Unknown maps {sorted(unknown)}. Known: {MAPS}.")
    out_dir.mkdir(parents=True, exist_ok=True)
    scan = read_nifti(path)
    images, geometry = preprocessing.image(scan.voxels, scan.scaled_affine)
    whole = len(getattr(predictor, "window", ())) == 3
    images = images[np.newaxis] if whole else images
    _check_channels(path, images, getattr(predictor.predictor if whole else predictor, "model", None))
    batch_size = batch_size or (1 if whole else 8)
    # The dropout masks depend on the scan's name, so the maps do not depend on the order of the scans.
    result = predictor.predict(images, batch_size=batch_size, case=zlib.crc32(scan_name(path).encode()))
    if whole:
        result = result[0]
    written = {}
    for name in maps:
        if name == "mask":
            data = geometry.restore(result.mask, "nearest")
        else:
            data = _restore(geometry, name, getattr(result, name))
        written[name] = out_dir / f"{scan_name(path)}_{name}.nii.gz"
        _write_nifti(data, scan, written[name])
    sidecar = {
        "scan": path.name,
        "predictor": predictor.describe(),
        "samples": result.samples,
        "preprocessing": json.loads(preprocessing.to_json()),
        "maps": {name: file.name for name, file in written.items()},
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
    }
    write_text(sidecar_path(path, out_dir), json.dumps(sidecar, indent=2))
    return written


def _quality(card, probabilities):
    """The JSON entries of a quality card: its statements about the scan, and the card itself."""
    if card is None:
        return {}
    return {"quality": card.read(probabilities), "quality_card": json.loads(card.to_json())}


def _check_channels(path, images, model):
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple):
        return
    if len(shape) != images.ndim:
        hint = "Wrap it in SlidingWindow (command: --window 96,96,96)." if len(shape) == 5 else "Leave the window out."
        raise ValueError(
            f"{path.name} is predicted in {images.ndim - 2}D; the model takes {len(shape) - 2}D images. {hint}"
        )
    if shape[-1] not in (None, images.shape[-1]):
        raise ValueError(f"{path.name} has {images.shape[-1]} channels; the model takes {shape[-1]}.")


def _restore(geometry, name, volume):
    if volume.ndim == 3:
        return geometry.restore(volume)
    several = volume.shape[-1] > 1
    channels = [
        # Voxels outside the network's input are background.
        geometry.restore(np.ascontiguousarray(volume[..., index]), outside=1 if background and not index else 0)
        for index in range(volume.shape[-1])
        for background in [several and name == "mean"]
    ]
    return np.stack(channels, axis=-1) if several else channels[0]


def _write_nifti(data, scan, path):
    header = scan.header.copy()
    header.set_data_dtype(data.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    image = nibabel.Nifti1Image(data, scan.affine, header)
    with replacing(path) as temporary:
        nibabel.save(image, temporary)
