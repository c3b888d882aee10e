"""Sizes, colours and small helper functions of all figures."""

import textwrap
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from keras_uq._kinds import shown
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
        figure.suptitle(wrapped(title, 58), fontsize=8)
    return figure


def literal(text: str) -> str:
    """Return a text that matplotlib draws letter by letter.

    Names of cases and files are data: `$` would begin a formula, and a surrogate or a control character has no letter.
    """
    printable = "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in str(text))
    return printable.replace("$", r"\$")


def wrapped(text: str, width: int) -> str:
    """Wrap a text to lines of at most `width` letters, as `literal`."""
    # Wrapped first, because a line must not end between a backslash and its dollar.
    return "\n".join(literal(line) for part in str(text).splitlines() for line in textwrap.wrap(part, width))


def check_rows(
    caller: str, name: str, rows: Any, keys: Sequence[str] = (), pictures: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the rows of a figure.

    Args:
        caller: Name of the function that draws it.
        name: Name of its argument.
        rows: What it was given.
        keys: Keys that every row needs.
        pictures: Those of them that are arrays `(height, width)`, equal within a row.

    Raises:
        ValueError: If there is no row, or if a row lacks a key or has pictures of another shape.
    """
    if not isinstance(rows, dict) or not rows:
        raise ValueError(
            f"{caller} expects `{name}` to be a dictionary with at least one row. Received: {shown(rows)}."
        )
    for row, values in rows.items():
        missing = [key for key in keys if not isinstance(values, dict) or key not in values]
        if missing:
            raise ValueError(
                f"{caller} expects {', '.join(keys)} for each row. Row {row!r} lacks {', '.join(missing)}."
            )
        shapes = {key: np.shape(values[key]) for key in pictures}
        if any(len(shape) != 2 or 0 in shape for shape in shapes.values()) or len(set(shapes.values())) > 1:
            raise ValueError(f"{caller} expects pictures (height, width) of one shape. Received for {row!r}: {shapes}.")
    return rows


def name_rows(axes: Any, rows: Collection[str]) -> None:
    """Label the rows of a horizontal chart, with the first row at the top."""
    axes.set_yticks(range(len(rows)), [short(name) for name in rows])
    axes.invert_yaxis()


def short(name: str) -> str:
    """Shorten the name of a row for use as a label, as `literal`."""
    return literal(str(name).removesuffix(" Loss"))


def in_legend(name: str) -> str:
    """Return the name of a row as it stands in a legend, as `short`."""
    text = short(name)
    # Matplotlib leaves labels out of a legend that are empty or begin with an underscore.
    return f" {text}" if text.startswith("_") or not text else text


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
