"""Evaluation metrics of one case, in NumPy, and a Keras metric for training. Independent of `keras_uq.losses`.

The functions take the whole masks or maps of one case, in 2D or 3D. Their docstrings tell the value of an empty case.
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
