"""Check from the tags of a DICOM series that its slices form one straight, evenly spaced volume."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.dicom_syntax import can_hold
from data_prep.volume import FAR, ORTHONORMAL, check_memory, numbers, whole_numbers
from keras_uq.preprocessing import BadScan

# DICOM tags that are compared, in the order in which `check_series` expects them.
POSITION, ORIENTATION, PIXEL_SPACING = "0020|0032", "0020|0037", "0028|0030"
ROWS, COLUMNS, BITS, SAMPLES, FRAMES = "0028|0010", "0028|0011", "0028|0100", "0028|0002", "0028|0008"
INTERCEPT, SLOPE, SOP_CLASS = "0028|1052", "0028|1053", "0008|0016"
TAGS = (POSITION, ORIENTATION, PIXEL_SPACING, ROWS, COLUMNS, BITS, SAMPLES, FRAMES, INTERCEPT, SLOPE, SOP_CLASS)
# Enhanced CT, MR, MR Color and PET, and their legacy conversions.
ENHANCED = tuple(f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2.1", "2.2", "4.1", "4.3", "4.4", "128.1", "130"))
# Positions closer than this, in millimetres, are one position.
SAME = 1e-3
# Distances of neighbouring slices may differ by this share.
UNEVEN = 0.01
CONVERT = "Convert it to NIfTI with dcm2niix"


def check_series(files: Sequence[str], tags: Sequence[Sequence[str] | None], max_bytes: int | None = None) -> None:
    """Check the slices of a series.

    Args:
        files: Paths of the files, ordered along the slice normal.
        tags: The `TAGS` of each file as text; `None` for a file that is no DICOM.
        max_bytes: As in `data_prep.volume.check_memory`.

    Raises:
        BadScan: `unreadable` or `bad_rank` for files that are no slices of one channel; `too_large`; `bad_affine` for
            slices that are turned against each other, or whose stack is sheared (gantry tilt); `several_volumes` if
            positions repeat; `truncated` if distances differ.
    """
    folder = Path(files[0]).parent.name
    slices = [_slice(Path(file), texts) for file, texts in zip(files, tags, strict=True)]
    first = slices[0]
    for file, other in zip(files, slices):
        if other["shape"] != first["shape"]:
            sizes = [" x ".join(map(str, each["shape"])) for each in (first, other)]
            raise BadScan(
                "bad_dims", f"{folder}: the slices differ in size ({sizes[0]}; {Path(file).name}: {sizes[1]} pixels)."
            )
        if np.abs(other["axes"] - first["axes"]).max() > ORTHONORMAL:
            raise BadScan(
                "bad_affine",
                f"{folder}: {Path(file).name} is turned against {Path(files[0]).name}; expected parallel slices. Take "
                "the slices of the other orientation out of the folder.",
            )
    check_memory(folder, sum(each["bytes"] for each in slices), max_bytes)
    if len(slices) > 1:
        positions = np.array([each["position"] for each in slices])
        _check_stack(folder, positions, np.cross(*first["axes"]), min(first["pixel"]))


def declared_bytes(path: str | os.PathLike, texts: Sequence[str] | None) -> int:
    """Return the size in bytes of the voxels of one file once they are read, by its `TAGS`.

    Raises:
        BadScan: If the tags do not say it, or declare more than the file can hold (the parser makes up the rest).
    """
    name = Path(path).name
    if texts is None:
        raise BadScan("unreadable", f"{name} is not readable as DICOM.")
    values = dict(zip(TAGS, texts, strict=True))
    try:
        rows, columns, bits = (whole_numbers(values[tag], 1)[0] for tag in (ROWS, COLUMNS, BITS))
        frames = whole_numbers(values[FRAMES] or "1", 1)[0]
        rescale = [numbers(values[tag] or default, 1)[0] for tag, default in ((INTERCEPT, "0"), (SLOPE, "1"))]
    except ValueError as error:
        raise BadScan("bad_dims", f"{name}: rows, columns, bits, frames and rescaling: {error}.") from None
    if min(rows, columns, bits, frames) < 1:
        raise BadScan("bad_dims", f"{name} declares {rows} rows, {columns} columns and {frames} frames of {bits} bits.")
    if not can_hold(path, rows * columns * frames * bits // 8):
        raise BadScan(
            "truncated",
            f"{name} declares {columns} x {rows} pixels and {frames} frames of {bits} bits, more than the file holds.",
        )
    # A rescaled voxel becomes an integer of 4 bytes, or a number of 8 bytes where the rescaling has decimals.
    rescaled = 0 if rescale == [0, 1] else 4 if all(map(float.is_integer, rescale)) else 8
    return rows * columns * frames * max((bits + 7) // 8, rescaled)


def _slice(path, texts):
    name, size = path.name, declared_bytes(path, texts)
    values = dict(zip(TAGS, texts, strict=True))
    if values[FRAMES] not in ("", "1") or values[SOP_CLASS] in ENHANCED:
        raise BadScan(
            "bad_rank", f"{name} is a multi-frame file ({values[FRAMES] or 1} frames); expected one slice. {CONVERT}."
        )
    if values[SAMPLES] not in ("", "1"):
        raise BadScan("bad_rank", f"{name} has {values[SAMPLES]} samples a pixel, such as colours; expected 1.")
    if not values[POSITION] or not values[ORIENTATION]:
        raise BadScan("unreadable", f"{name} has no position (ImagePositionPatient, ImageOrientationPatient).")
    try:
        position, axes, pixel = (
            np.array(numbers(values[tag].replace("\\", " "), count))
            for tag, count in ((POSITION, 3), (ORIENTATION, 6), (PIXEL_SPACING, 2))
        )
    except ValueError as error:
        raise BadScan("bad_affine", f"{name}: position, orientation and pixel spacing: {error}.") from None
    axes = axes.reshape(2, 3)
    if np.abs(position).max() > FAR:
        raise BadScan("bad_affine", f"{name} lies at {position.tolist()} mm, where no patient lies.")
    if np.abs(axes @ axes.T - np.eye(2)).max() > ORTHONORMAL:
        raise BadScan("bad_affine", f"{name}: rows and columns {axes.tolist()} are no unit vectors at a right angle.")
    if pixel.min() <= 0 or pixel.max() > FAR:
        raise BadScan("bad_zooms", f"{name} declares pixels of {pixel.tolist()} mm; expected positive numbers.")
    shape = tuple(values[tag] for tag in (COLUMNS, ROWS))
    return {"bytes": size, "shape": shape, "position": position, "axes": axes, "pixel": pixel}


def _check_stack(folder, positions, normal, pixel):
    repeats = _repeats(positions)
    if len(repeats) < len(positions):
        few, many = min(repeats), max(repeats)
        if len(repeats) == 1:
            what = f"holds {len(positions)} slices at one position"
        elif few == many:
            what = f"holds {many} volumes of {len(repeats)} slices at the same positions (times, directions or echoes)"
        else:
            what = f"holds {len(positions)} slices at {len(repeats)} positions: some are duplicated, or stacks overlap"
        raise BadScan("several_volumes", f"{folder} {what}; expected one volume. {CONVERT}, and take one volume.")
    offsets = positions - positions[0]
    along = offsets @ normal
    beside = np.linalg.norm(offsets - along[:, np.newaxis] * normal, axis=1).max()
    # Up to half a pixel, a voxel's centre still lies in the voxel where it is put. Rounded headers are that far off.
    if beside > pixel / 2:
        line = offsets[-1] / np.linalg.norm(offsets[-1])
        off_line = np.linalg.norm(offsets - np.outer(offsets @ line, line), axis=1).max()
        angle = np.degrees(np.arccos(min(abs(line @ normal), 1.0)))
        if off_line > pixel / 2 or angle > 45:
            raise BadScan(
                "several_volumes", f"{folder}: the slices do not lie on one line; expected one stack. {CONVERT}."
            )
        raise BadScan(
            "bad_affine",
            f"{folder} has a gantry tilt of {angle:.1f} degrees: its slices move by up to {beside:.3g} mm within their "
            f"plane; expected a stack along the normal. {CONVERT}, which corrects the tilt.",
        )
    steps = np.diff(along)
    if np.ptp(steps) > UNEVEN * abs(np.median(steps)) + SAME:
        raise BadScan(
            "truncated",
            f"The slices of {folder} are {min(abs(steps)):.3g} to {max(abs(steps)):.3g} mm apart: some are missing.",
        )


def _repeats(positions):
    """How often each position occurs, in the order of space."""
    order = np.lexsort(np.round(positions / SAME).T)
    breaks = np.abs(np.diff(positions[order], axis=0)).max(axis=1) > SAME
    ends = np.flatnonzero(np.append(breaks, True)) + 1
    return np.diff(ends, prepend=0).tolist()
