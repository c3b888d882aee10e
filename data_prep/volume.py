"""A volume with its place in space, and its voxels read from a file of raw or deflated numbers.

`metaimage` and `nrrd` read headers that may name another file. Both headers come from strangers, so that file has to
lie in the same folder, and nothing is allocated before the declared size was compared with the file and the limit.
"""

import math
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_uq.files import gibibytes, max_memory
from keras_uq.preprocessing import BadScan

# Copies of the voxels that exist at once while a file is read: as read, as an ITK image, as a `Scan`.
COPIES = 3
# Largest compression factor of Deflate.
MAX_DEFLATE = 1032
# A number as headers write it. `float` and `int` would also take `1_0`, `inf` and digits of other scripts.
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
# Further than this from the scanner, in millimetres, lies no patient.
FAR = 1e5
# Axes may be this far from unit vectors at right angles; headers round them.
ORTHONORMAL = 1e-2


@dataclass(frozen=True)
class Volume:
    """Voxels with their place, in the conventions of ITK and DICOM (LPS).

    Attributes:
        voxels: Array `(z, y, x)`.
        spacing: Distance of voxels along x, y and z, in millimetres.
        origin: Place of the first voxel, in millimetres.
        direction: Matrix `(3, 3)`; its columns are the unit vectors of x, y and z.
    """

    voxels: np.ndarray
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: np.ndarray


def numbers(text: str, count: int) -> list[float]:
    """Return the finite numbers of a text, separated by spaces. Raises `ValueError` unless there are `count`."""
    words = text.split()
    values = [float(word) for word in words if NUMBER.fullmatch(word)]
    if len(values) != len(words) or len(values) != count or not np.isfinite(values).all():
        raise ValueError(f"expected {count} numbers. Received: {text[:80]!r}")
    return values


def whole_numbers(text: str, count: int) -> list[int]:
    """Return the whole numbers of a text, 0 to 2**31. Raises `ValueError` unless there are `count`."""
    words = text.split()
    if len(words) != count or not all(re.fullmatch("[0-9]{1,10}", word) and int(word) < 2**31 for word in words):
        raise ValueError(f"expected {count} whole numbers from 0. Received: {text[:80]!r}")
    return [int(word) for word in words]


def check_place(name: str, spacing: list[float], origin: list[float], direction: np.ndarray) -> None:
    """Check the place of a volume: positive voxel sizes, an origin near the scanner, axes at right angles.

    Raises:
        BadScan: With the code `bad_zooms` or `bad_affine`; the message begins with `name`.
    """
    if not (np.isfinite(spacing).all() and min(spacing) > 0 and max(spacing) < FAR):
        raise BadScan("bad_zooms", f"{name} declares the voxel size {_listed(spacing)} mm; expected positive numbers.")
    if not (np.isfinite(origin).all() and np.abs(origin).max() < FAR):
        raise BadScan("bad_affine", f"{name} declares the origin {_listed(origin)} mm, where no patient lies.")
    if not np.isfinite(direction).all() or np.abs(direction.T @ direction - np.eye(3)).max() > ORTHONORMAL:
        raise BadScan(
            "bad_affine", f"{name} declares axes that are no unit vectors at right angles: {direction.T.tolist()}."
        )


def check_memory(name: str, voxel_bytes: int, max_bytes: int | None = None) -> None:
    """Check that voxels can be held. Raises `BadScan` with the code `too_large`.

    Args:
        name: What the message names.
        voxel_bytes: Declared size of the voxels.
        max_bytes: Limit for all copies that exist while a file is read; by default `keras_uq.files.max_memory`.
    """
    limit = max_memory() if max_bytes is None else max_bytes
    if voxel_bytes * COPIES > limit:
        raise BadScan(
            "too_large",
            f"{name} declares {gibibytes(voxel_bytes)} of voxels, and reading takes {COPIES} times that; the limit is "
            f"{gibibytes(limit)}, half of this machine's memory unless KERAS_UQ_MAX_MEMORY says otherwise.",
        )


def file_beside(header: Path, name: str) -> Path:
    """Return the file that a header names for its voxels: a plain name of a file in the header's folder.

    Raises:
        BadScan: For a path, a pattern, a list, a link that leads out of the folder, or a file that does not exist.
    """
    if not name or len(name) > 255 or re.search(r"[/\\:%\x00-\x1f]", name) or name in (".", "..", "LIST"):
        raise BadScan(
            "unreadable",
            f"{header.name} names {name[:80]!r} for its voxels; expected the plain name of one file in its folder.",
        )
    path = header.with_name(name)
    if not path.is_file():
        raise BadScan("unreadable", f"{header.name} cannot be read: {name}, which holds its voxels, is not beside it.")
    if path.resolve().parent != header.parent.resolve():
        raise BadScan(
            "unreadable", f"{header.name} names {name}, a link to a file outside its folder. Put the file itself there."
        )
    return path


def read_voxels(
    path: Path, offset: int, shape: list[int], dtype: np.dtype, compressed: bool, max_bytes: int | None = None
) -> np.ndarray:
    """Read the voxels from the end of a file, after `offset` bytes.

    Args:
        path: File.
        offset: Number of bytes before the voxels.
        shape: Number of voxels along x, y and z.
        dtype: Type of a voxel in the file, with its byte order.
        compressed: Whether the bytes are a zlib or gzip stream.
        max_bytes: As in `check_memory`.

    Returns:
        Array `(z, y, x)` in the byte order of this machine.

    Raises:
        BadScan: With the code `bad_dims`, `too_large` or `truncated`, unless the file holds exactly these voxels.
    """
    if min(shape) < 1:
        raise BadScan("bad_dims", f"{path.name}: {_listed(shape)} voxels are declared; every axis needs at least one.")
    declared = math.prod(shape) * dtype.itemsize
    check_memory(path.name, declared, max_bytes)
    there = os.path.getsize(path) - offset
    if declared > there * MAX_DEFLATE if compressed else declared != there:
        raise BadScan(
            "truncated",
            f"{path.name} holds {there} bytes of voxels; {_listed(shape)} voxels of {dtype.itemsize} bytes take "
            f"{declared}.",
        )
    with open(path, "rb") as file:
        file.seek(offset)
        content = _inflated(file, declared, path.name) if compressed else file.read(declared)
    if len(content) != declared:
        raise BadScan("truncated", f"{path.name} ends before the {declared} bytes of voxels that are declared.")
    voxels = np.frombuffer(content, dtype).reshape(shape[::-1])
    return voxels.astype(dtype.newbyteorder("="), copy=False)


def _inflated(file, declared, name):
    """Unpack a stream of zlib or gzip, but no more than the declared bytes."""
    stream, parts, left = zlib.decompressobj(wbits=47), [], declared
    try:
        while not stream.eof:
            packed = stream.unconsumed_tail or file.read(2**20)
            if not packed:
                break
            parts.append(stream.decompress(packed, left + 1))
            left -= len(parts[-1])
            if left < 0:
                raise BadScan("truncated", f"{name} unpacks to more than the {declared} bytes of voxels declared.")
    except zlib.error as error:
        raise BadScan("truncated", f"{name} is damaged: its voxels cannot be unpacked ({error}).") from error
    return b"".join(parts)


def _listed(values):
    return " x ".join(f"{value:g}" for value in values)
