"""Predictors with uncertainty, for any Keras model.

`MCDropout` and `Ensemble` share one interface: `.predict(images)` gives `UncertaintyMaps`, `.draw(images)` one sample
after the other. `predict_nifti` and the command `keras-uq predict` write the maps of a scan next to it.
"""

from keras_uq.inference.ensemble import Ensemble
from keras_uq.inference.maps import UncertaintyMaps
from keras_uq.inference.mc_dropout import MCDropout
from keras_uq.inference.nifti import predict_nifti
from keras_uq.inference.published import load_model, read_preprocessing, save_model
from keras_uq.inference.threshold import choose_threshold, softmax_threshold

__all__ = [
    "Ensemble",
    "MCDropout",
    "UncertaintyMaps",
    "choose_threshold",
    "load_model",
    "predict_nifti",
    "read_preprocessing",
    "save_model",
    "softmax_threshold",
]
