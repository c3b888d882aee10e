"""What the figures share: sizes, colours, small helpers."""

import textwrap

import numpy as np

from keras_uq._optional import require

# Width in inches of one column of a journal page. Letters are 7 to 8 points there.
COLUMN = 3.5
# Okabe and Ito (2008): told apart with every common kind of colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000", "#F0E442")
STYLES = ("-", "--", "-.", ":")


def new_figure(height, title=None):
    """An empty figure of one column's width, its title wrapped."""
    matplotlib = require("matplotlib.figure", extra="plots", purpose="Plotting")
    figure = matplotlib.Figure(figsize=(COLUMN, height), layout="constrained")
    if title:
        lines = (line for part in title.splitlines() for line in textwrap.wrap(part, 58))
        figure.suptitle("\n".join(lines), fontsize=8)
    return figure


def name_rows(axes, rows):
    """Name the rows of a horizontal chart, the first on top."""
    axes.set_yticks(range(len(rows)), [short(name) for name in rows])
    axes.invert_yaxis()


def short(name):
    """A row's name as a label."""
    return name.removesuffix(" Loss")


def tint(mask, colour):
    """A mask as a half transparent RGBA picture."""
    colours = require("matplotlib.colors", extra="plots", purpose="Plotting")
    mask = np.asarray(mask, dtype="float32")
    picture = np.empty((*mask.shape, 4), dtype="float32")
    picture[..., :3] = colours.to_rgb(colour)
    picture[..., 3] = 0.45 * mask
    return picture


def opaque(shown):
    """The colours of a picture without its transparency, for the colour bar."""
    cm = require("matplotlib.cm", extra="plots", purpose="Plotting")
    return cm.ScalarMappable(norm=shown.norm, cmap=shown.cmap)


def line_style(number):
    """Colour and dashes of the line with this number."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": STYLES[(number // len(COLOURS) + number) % len(STYLES)],
    }
