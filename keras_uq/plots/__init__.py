"""Draw figures of results. Every function returns a `matplotlib.figure.Figure`; it neither shows nor saves it.

Titles, labels and names are drawn letter by letter: `$` does not begin a formula, because names of cases are data.
"""

from keras_uq.plots.calibration import (
    LEAST,
    calibration_panel,
    members_panel,
    nll_vs_members,
    reliability_diagram,
    segment_regression,
)
from keras_uq.plots.common import COLOURS
from keras_uq.plots.epsilon import poly_dice_curves, quantile_bands, scatter
from keras_uq.plots.panels import (
    picture_grid,
    preparation_panel,
    qualitative_panel,
    softmax_panel,
    threshold_panel,
)
from keras_uq.plots.probabilities import measures_against, probability_histograms, threshold_curves
from keras_uq.plots.scores import case_scores, confidence, learning_curves, violin
from keras_uq.plots.surfaces import surface_panel

__all__ = [
    "COLOURS",
    "LEAST",
    "calibration_panel",
    "case_scores",
    "confidence",
    "learning_curves",
    "measures_against",
    "members_panel",
    "nll_vs_members",
    "picture_grid",
    "poly_dice_curves",
    "preparation_panel",
    "probability_histograms",
    "qualitative_panel",
    "quantile_bands",
    "reliability_diagram",
    "scatter",
    "segment_regression",
    "softmax_panel",
    "surface_panel",
    "threshold_curves",
    "threshold_panel",
    "violin",
]
