"""Pictures of bodies in space."""

import textwrap

import numpy as np

from keras_uq._optional import require
from keras_uq.plots.common import COLUMN, new_figure, short

# Grid points along the longest side of a body; finer ones are thinned out.
FINEST = 96
LIGHT = np.array([0.4, -0.5, 0.75])


def surface_panel(rows, title=None):
    """Surfaces of the ground truth and of each row's prediction, by marching cubes.

    Args:
        rows: `{row: {"mask_volume", "predicted_volume", "spacing"}}`: Booleans `(depth, height, width)`, and the
            distances of their voxels in millimetres.
        title: Above the panel.

    The first picture is the ground truth; a row without any predicted voxel has an empty one.

    Reference:
        Zhang et al. (2025), Figure 3.
    """
    first = next(iter(rows.values()))
    bodies = {"ground truth": (first["mask_volume"], first["spacing"], "#009E73")}
    bodies |= {row: (maps["predicted_volume"], maps["spacing"], "#E69F00") for row, maps in rows.items()}
    columns = 2 if len(bodies) < 5 else 3
    lines = -(-len(bodies) // columns)
    figure = new_figure(lines * (COLUMN / columns + 0.25) + 0.5, title)
    # Volumes of other rows are cut around other predictions, so each picture has limits of its own but one scale.
    reach = max(max(np.multiply(np.shape(volume), spacing)) for volume, spacing, _ in bodies.values()) / 2
    for number, (name, (volume, spacing, colour)) in enumerate(bodies.items(), start=1):
        axes = figure.add_subplot(lines, columns, number, projection="3d")
        _draw(axes, np.asarray(volume, bool), np.asarray(spacing, "float64"), colour)
        middle = np.multiply(np.shape(volume), spacing) / 2
        axes.set(xlim=_around(middle[2], reach), ylim=_around(middle[1], reach), zlim=_around(middle[0], reach))
        axes.set_box_aspect((1, 1, 1), zoom=1.5)
        axes.set_axis_off()
        axes.set_title("\n".join(textwrap.wrap(short(name), 18)), fontsize=6, pad=0)
    return figure


def _around(middle, reach):
    return middle - reach, middle + reach


def triangles(volume, spacing):
    """The surface of a body by marching cubes.

    Args:
        volume: Booleans `(depth, height, width)`, not all of them false.
        spacing: Distances of their voxels in millimetres.

    Returns:
        Corners `(triangles, 3, 3)`, each x, y, z in millimetres, and outward directions `(triangles, 3)`. The middle of
        the first voxel is 0. Where the body touches the end of the volume its surface is closed.
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
    # How much each faces the light, from either side.
    facing = np.abs(outward @ LIGHT)
    shade = (0.45 + 0.55 * facing / max(facing.max(), 1e-6))[:, np.newaxis]
    filled = np.concatenate([np.array(colours.to_rgb(colour)) * shade, np.ones_like(shade)], axis=1)
    axes.add_collection3d(collections.Poly3DCollection(corners, facecolors=filled, linewidths=0))
