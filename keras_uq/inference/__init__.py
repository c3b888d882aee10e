"""Predict with uncertainty, using any Keras model.

Every predictor is a `Predictor`: `.predict(images)` returns `UncertaintyMaps`. `MCDropout` and `Ensemble` also have
`.draw(images)`, which yields the samples one by one. `SlidingWindow` has the same interface for whole volumes, which it
predicts window by window.
`predict_nifti` and the command `keras-uq predict` read a NIfTI scan and write its maps as NIfTI files.
"""

from keras_uq.inference.ensemble import Ensemble
from keras_uq.inference.maps import UncertaintyMaps
from keras_uq.inference.mc_dropout import MCDropout
from keras_uq.inference.model_file import (
    load_model,
    read_multilabel,
    read_preprocessing,
    read_quality,
    read_window,
    save_model,
)
from keras_uq.inference.multilabel import exclusive
from keras_uq.inference.nifti import predict_nifti
from keras_uq.inference.predictor import Predictor
from keras_uq.inference.quality import ClassQuality, QualityCard, logit_dice
from keras_uq.inference.sliding_window import SlidingWindow, cut_window, window_starts
from keras_uq.inference.temperature import TemperatureScaling, fit_temperature, scale_probabilities
from keras_uq.inference.threshold import choose_threshold, softmax_threshold

__all__ = [
    "ClassQuality",
    "Ensemble",
    "MCDropout",
    "Predictor",
    "QualityCard",
    "SlidingWindow",
    "TemperatureScaling",
    "UncertaintyMaps",
    "choose_threshold",
    "cut_window",
    "exclusive",
    "fit_temperature",
    "load_model",
    "logit_dice",
    "predict_nifti",
    "read_multilabel",
    "read_preprocessing",
    "read_quality",
    "read_window",
    "save_model",
    "scale_probabilities",
    "softmax_threshold",
    "window_starts",
]
