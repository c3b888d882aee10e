"""3D pictures of the surfaces of segmented structures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from keras_uq._kinds import Items, Number, argument
from keras_uq._optional import require
from keras_uq.plots.common import COLUMN, check_rows, new_figure, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Largest number of grid points along a side of a volume; finer volumes are subsampled.
FINEST = 96
# Direction of the light.
LIGHT = np.array([0.4, -0.5, 0.75])


def surface_panel(rows: dict[str, dict[str, Any]], title: str | None = None) -> "Figure":
    """Draw the surfaces of the ground truth and of the prediction of each row, computed by marching cubes.

    Args:
        rows: `{row: {"mask_volume", "predicted_volume", "spacing"}}`: two Boolean arrays `(depth, height, width)`, and
            the distances between their voxels in millimetres.
        title: Title above the panel.

    The first picture shows the ground truth. The picture of a row without predicted voxels is empty.

    Reference:
        Zhang et al. (2025), Figure 3.
    """
    check_rows("surface_panel", "rows", rows, ("mask_volume", "predicted_volume", "spacing"))
    for row, maps in rows.items():
        _check_volumes(row, maps)
    first = next(iter(rows.values()))
    structures = {"ground truth": (first["mask_volume"], first["spacing"], "#009E73")}
    structures |= {row: (maps["predicted_volume"], maps["spacing"], "#E69F00") for row, maps in rows.items()}
    columns = 2 if len(structures) < 5 else 3
    lines = -(-len(structures) // columns)
    figure = new_figure(lines * (COLUMN / columns + 0.25) + 0.5, title)
    # The volume of each row is cropped around its prediction, so the pictures have different limits but equal scale.
    reach = max(max(np.multiply(np.shape(volume), spacing)) for volume, spacing, _ in structures.values()) / 2
    for number, (name, (volume, spacing, colour)) in enumerate(structures.items(), start=1):
        axes = figure.add_subplot(lines, columns, number, projection="3d")
        _draw(axes, np.asarray(volume, bool), np.asarray(spacing, "float64"), colour)
        middle = np.multiply(np.shape(volume), spacing) / 2
        axes.set(xlim=_around(middle[2], reach), ylim=_around(middle[1], reach), zlim=_around(middle[0], reach))
        axes.set_box_aspect((1, 1, 1), zoom=1.5)
        axes.set_axis_off()
        axes.set_title(wrapped(name.removesuffix(" Loss"), 18), fontsize=6, pad=0)
    return figure


def _check_volumes(row, maps):
    argument("surface_panel", "spacing", tuple(maps["spacing"]), Items(Number(above=0), count=3))
    for key in ("mask_volume", "predicted_volume"):
        if len(np.shape(maps[key])) != 3 or 0 in np.shape(maps[key]):
            raise ValueError(
                f"surface_panel expects volumes (depth, height, width). Received for {row!r}: {key} of shape "
                f"{np.shape(maps[key])}."
            )


def _around(middle, reach):
    return middle - reach, middle + reach


def triangles(volume: npt.ArrayLike, spacing: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Compute the surface of a structure by marching cubes.

    Args:
        volume: Booleans `(depth, height, width)`, at least one of them true.
        spacing: Distances between the voxels in millimetres.

    Returns:
        The corners of the triangles, `(triangles, 3, 3)`, as x, y, z in millimetres from the centre of the first voxel,
        and the outward normals, `(triangles, 3)`. The surface is closed where the structure touches the border of the
        volume.
    """
    measure = require("skimage.measure", extra="plots", purpose="Drawing surfaces")
    step = -(-max(np.shape(volume)) // FINEST)
    padded = np.pad(volume, step).astype("float32")
    points, faces, normals, _ = measure.marching_cubes(padded, 0.5, spacing=tuple(spacing), step_size=step)
    points -= step * np.asarray(spacing)
    return points[faces][..., ::-1], normals[faces].mean(axis=1)[:, ::-1]


def _draw(axes, volume, spacing, colour):
    if not volume.any():
        return
    collections = require("mpl_toolkits.mplot3d.art3d", extra="plots", purpose="Plotting")
    colours = require("matplotlib.colors", extra="plots", purpose="Plotting")
    corners, outward = triangles(volume, spacing)
    # A triangle is brighter the more it faces the light, from either side.
    facing = np.abs(outward @ LIGHT)
    shade = (0.45 + 0.55 * facing / max(facing.max(), 1e-6))[:, np.newaxis]
    filled = np.concatenate([np.array(colours.to_rgb(colour)) * shade, np.ones_like(shade)], axis=1)
    axes.add_collection3d(collections.Poly3DCollection(corners, facecolors=filled, linewidths=0))
