"""What every predictor offers, whatever it is made of."""

from typing import Any, Protocol, runtime_checkable

import numpy as np

from keras_uq.inference.maps import UncertaintyMaps


@runtime_checkable
class Predictor(Protocol):
    """An object that predicts images with their uncertainty: `MCDropout`, `Ensemble`, `SlidingWindow`, or your own.

    `predict_nifti` and `TemperatureScaling` take every object with these methods.
    """

    def predict(self, images: np.ndarray, batch_size: int = ..., case: int = ...) -> UncertaintyMaps:
        """Return the maps of the images.

        Args:
            images: Network input, `(images, *spatial, channels)`; finite numbers.
            batch_size: Number of images (or windows) predicted at a time, at least 1.
            case: Number of the case that the images belong to, at least 0. It selects the random numbers.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return the settings needed to repeat the prediction, as JSON types."""
        ...
