"""Sizes, colours and small helper functions of all figures."""

import textwrap
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from keras_uq._optional import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Width of one column of a journal page in inches. Text in the figures is 7 to 8 points high at this width.
COLUMN = 3.5
# Palette of Okabe and Ito (2008), distinguishable with all common forms of colour blindness.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
STYLES = ("-", "--", "-.", ":")


def new_figure(height: float, title: str | None = None) -> "Figure":
    """Create an empty figure that is one column wide, with a wrapped title."""
    matplotlib = require("matplotlib.figure", extra="plots", purpose="Plotting")
    figure = matplotlib.Figure(figsize=(COLUMN, height), layout="constrained")
    if title:
        lines = (line for part in title.splitlines() for line in textwrap.wrap(part, 58))
        figure.suptitle("\n".join(lines), fontsize=8)
    return figure


def name_rows(axes: Any, rows: Collection[str]) -> None:
    """Label the rows of a horizontal chart, with the first row at the top."""
    axes.set_yticks(range(len(rows)), [short(name) for name in rows])
    axes.invert_yaxis()


def short(name: str) -> str:
    """Shorten the name of a row for use as a label."""
    return name.removesuffix(" Loss")


def tint(mask: npt.ArrayLike, colour: str) -> np.ndarray:
    """Convert a mask to a half-transparent RGBA picture."""
    colours = require("matplotlib.colors", extra="plots", purpose="Plotting")
    mask = np.asarray(mask, dtype="float32")
    picture = np.empty((*mask.shape, 4), dtype="float32")
    picture[..., :3] = colours.to_rgb(colour)
    picture[..., 3] = 0.45 * mask
    return picture


def opaque(picture: Any) -> Any:
    """Return a mappable with the colours of a picture but without its transparency, for the colour bar."""
    cm = require("matplotlib.cm", extra="plots", purpose="Plotting")
    return cm.ScalarMappable(norm=picture.norm, cmap=picture.cmap)


def line_style(number: int) -> dict[str, Any]:
    """Return colour and line style of the line with this number."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": STYLES[(number // len(COLOURS) + number) % len(STYLES)],
    }
