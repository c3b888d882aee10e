"""Bring a label onto the grid of its image by their affines, where the two are stored in different orientations."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from nibabel import orientations

from keras_uq.preprocessing import BadScan, Scan

# Affines that differ by less, in millimetres, are taken for equal: headers are rounded.
ROUNDING = 1e-2


def turned(image: Scan, label: Scan) -> Scan:
    """Return the label with the axes of the image, if their affines differ by flips and permutations of axes.

    Args:
        image: Image, `(x, y, z)` or `(x, y, z, channels)`.
        label: Label, `(x, y, z)`.

    Returns:
        The label on the grid of the image; the same object if their affines are equal, or if no turn brings the two
        together.
    """
    if label.voxels.ndim != 3 or _alike(image.affine, label.affine):
        return label
    turn = orientations.ornt_transform(
        orientations.io_orientation(label.affine), orientations.io_orientation(image.affine)
    )
    affine = label.affine @ orientations.inv_ornt_aff(turn, label.voxels.shape)
    voxels = orientations.apply_orientation(label.voxels, turn)
    if voxels.shape != image.voxels.shape[:3] or _distance(image, affine) > _tolerance(image):
        return label
    zooms = tuple(label.zooms[source] for source in np.argsort(turn[:, 0]))
    return Scan(np.ascontiguousarray(voxels), affine, zooms, label.header)


def stacked(scans: Sequence[Scan], names: Sequence[str]) -> Scan:
    """Return scans of one grid as channels of one scan; a single scan as it is.

    Raises:
        BadScan: With the code `shape_mismatch` if a scan, named by `names`, is on another grid than the first.
    """
    first = scans[0]
    if len(scans) == 1:
        return first
    for name, scan in zip(names, scans):
        if scan.voxels.shape != first.voxels.shape or not np.allclose(scan.affine, first.affine, atol=1e-3):
            raise BadScan("shape_mismatch", f"{name} is not on the grid of {names[0]}.")
    return Scan(np.stack([scan.voxels for scan in scans], axis=-1), first.affine, first.zooms, first.header)


def find_distance(image: Scan, label: Scan, find: Callable[[str, str], None], in_space: bool = True) -> None:
    """Call `find(code, detail)` if a label on the voxels of an image lies elsewhere in space than the image.

    Half a voxel or less is a warning, `affine_mismatch`; more is `apart_in_space`. Where one affine says nothing about
    space, or those of the archive's labels are known to be wrong (`in_space` is false), the two are paired voxel by
    voxel with a warning.
    """
    if _alike(image.affine, label.affine):
        return
    distance = _distance(image, label.affine)
    for name, scan in (("image", image), ("label", label)):
        if says_nothing(scan) and distance > _tolerance(image):
            find("affine_mismatch", f"The affine of the {name} does not say where it lies in space.")
            return
    code = "affine_mismatch" if not in_space or distance <= _tolerance(image) else "apart_in_space"
    find(code, f"The affines put one voxel up to {distance:.3g} mm apart.")


def says_nothing(scan: Scan) -> bool:
    """Whether an affine only repeats the voxel size, or less: ACDC stores unit matrices beside oriented images."""
    if scan.header is not None and int(scan.header["qform_code"]) == 0 and int(scan.header["sform_code"]) == 0:
        return True
    sides = np.diag(scan.affine)[:3]
    bare = np.array_equal(scan.affine, np.diag([*sides, 1]))
    return bool(bare and (np.allclose(sides, 1) or np.allclose(sides, scan.zooms, rtol=1e-2)))


def _alike(one, other):
    return np.allclose(one, other, atol=ROUNDING)


def _distance(image, affine):
    """Largest distance in millimetres between the places that two affines give to a corner of the image."""
    corners = itertools.product(*[(0, size - 1) for size in image.voxels.shape[:3]])
    corners = np.array([(*corner, 1) for corner in corners]).T
    return float(np.linalg.norm(((image.affine - affine) @ corners)[:3], axis=0).max())


def _tolerance(image):
    return min(image.affine_zooms) / 2 + ROUNDING
