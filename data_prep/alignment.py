"""Bring a label onto the grid of its image by their affines, where the two are stored in different orientations."""

import itertools
from collections.abc import Callable

import numpy as np
from nibabel import orientations

from keras_uq.preprocessing import Scan

# Affines that differ by less, in millimetres, are taken for equal: headers are rounded.
ROUNDING = 1e-2


def turned(image: Scan, label: Scan) -> Scan:
    """Return the label with the axes of the image, if their affines differ by flips and permutations of axes.

    Args:
        image: Image, `(x, y, z)` or `(x, y, z, channels)`.
        label: Label, `(x, y, z)`.

    Returns:
        The label on the grid of the image; the same object if their affines are equal, if one of them says nothing
        about space, or if no turn brings the label to the shape of the image.
    """
    if label.voxels.ndim != 3 or _alike(image.affine, label.affine) or says_nothing(image) or says_nothing(label):
        return label
    turn = orientations.ornt_transform(
        orientations.io_orientation(label.affine), orientations.io_orientation(image.affine)
    )
    if np.array_equal(turn, [[0, 1], [1, 1], [2, 1]]):
        return label
    affine = label.affine @ orientations.inv_ornt_aff(turn, label.voxels.shape)
    voxels = orientations.apply_orientation(label.voxels, turn)
    if voxels.shape != image.voxels.shape[:3]:
        return label
    zooms = tuple(label.zooms[source] for source in np.argsort(turn[:, 0]))
    return Scan(np.ascontiguousarray(voxels), affine, zooms, label.header)


def find_distance(image: Scan, label: Scan, find: Callable[[str, str], None]) -> None:
    """Call `find(code, detail)` if a label on the voxels of an image lies elsewhere in space than the image.

    Half a voxel or less is a warning, `affine_mismatch`; more is `apart_in_space`. Where an affine says nothing about
    space, the two are paired voxel by voxel with a warning.
    """
    if _alike(image.affine, label.affine):
        return
    if says_nothing(image) or says_nothing(label):
        one = "image" if says_nothing(image) else "label"
        find("affine_mismatch", f"The affine of the {one} does not say where it lies in space.")
        return
    corners = itertools.product(*[(0, size - 1) for size in image.voxels.shape[:3]])
    corners = np.array([(*corner, 1) for corner in corners]).T
    distance = np.linalg.norm(((image.affine - label.affine) @ corners)[:3], axis=0).max()
    code = "affine_mismatch" if distance <= min(image.affine_zooms) / 2 + ROUNDING else "apart_in_space"
    find(code, f"The affines put the same voxel up to {distance:.3g} mm apart.")


def says_nothing(scan: Scan) -> bool:
    """Whether an affine only repeats the voxel size, or less: ACDC stores unit matrices beside oriented images."""
    header = scan.header
    if header is not None and int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0:
        return True
    axes = scan.affine[:3, :3]
    sides = np.abs(np.diag(axes))
    diagonal = np.array_equal(axes, np.diag(np.diag(axes)))
    return bool(
        diagonal
        and not scan.affine[:3, 3].any()
        and (np.allclose(sides, 1) or np.allclose(sides, scan.zooms, rtol=1e-2))
    )


def _alike(one, other):
    return np.allclose(one, other, atol=ROUNDING)
