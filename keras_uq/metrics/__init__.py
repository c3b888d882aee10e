"""Measures of one case, in NumPy, and the Keras metric of training. Shares nothing with `keras_uq.losses`.

The functions take whole masks or maps of one case, of any rank, and say what an empty case gives.
"""

from keras_uq.metrics.calibration import Calibration, Reliability
from keras_uq.metrics.dice_metric import DiceMetric
from keras_uq.metrics.overlap import (
    confusion_counts,
    dice,
    f_beta,
    jaccard,
    precision,
    sensitivity,
    soft_counts,
    specificity,
)
from keras_uq.metrics.regions import bounding_box
from keras_uq.metrics.segments import Segment, segment_components, segment_entropy
from keras_uq.metrics.spread import MapStatistics, map_statistics, pool_statistics
from keras_uq.metrics.surface import Averaged, average_cases, average_surface_distance, hausdorff95
from keras_uq.metrics.uncertainty import (
    RiskCoverage,
    error_detection_auroc,
    risk_coverage,
    uncertainty_error_overlap,
)

__all__ = [
    "Averaged",
    "Calibration",
    "DiceMetric",
    "MapStatistics",
    "Reliability",
    "RiskCoverage",
    "Segment",
    "average_cases",
    "average_surface_distance",
    "bounding_box",
    "confusion_counts",
    "dice",
    "error_detection_auroc",
    "f_beta",
    "hausdorff95",
    "jaccard",
    "map_statistics",
    "pool_statistics",
    "precision",
    "risk_coverage",
    "segment_components",
    "segment_entropy",
    "sensitivity",
    "soft_counts",
    "specificity",
    "uncertainty_error_overlap",
]
