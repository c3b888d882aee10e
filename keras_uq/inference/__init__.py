"""Predict with uncertainty, using any Keras model.

Every predictor is a `Predictor`: `.predict(images)` returns `UncertaintyMaps`. `MCDropout` and `Ensemble` also have
`.draw(images)`, which yields the samples one by one. `SlidingWindow` has the same interface for whole volumes, which it
predicts window by window.
`predict_nifti` and the command `keras-uq predict` read a NIfTI scan and write its maps as NIfTI files.

Modules are imported on first use: the command checks its arguments before it imports Keras.
"""

import importlib
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    # Editors and type checkers do not run `__getattr__`.
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
else:
    # `{module: its public names}`.
    _NAMES = {
        "ensemble": ("Ensemble",),
        "maps": ("UncertaintyMaps",),
        "mc_dropout": ("MCDropout",),
        "model_file": (
            "load_model",
            "read_multilabel",
            "read_preprocessing",
            "read_quality",
            "read_window",
            "save_model",
        ),
        "multilabel": ("exclusive",),
        "nifti": ("predict_nifti",),
        "predictor": ("Predictor",),
        "quality": ("ClassQuality", "QualityCard", "logit_dice"),
        "sliding_window": ("SlidingWindow", "cut_window", "window_starts"),
        "temperature": ("TemperatureScaling", "fit_temperature", "scale_probabilities"),
        "threshold": ("choose_threshold", "softmax_threshold"),
    }
    _MODULES = {name: module for module, names in _NAMES.items() for name in names}

    def __getattr__(name):
        if name in _NAMES:
            return importlib.import_module(f"{__name__}.{name}")
        if name in _MODULES:
            return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
