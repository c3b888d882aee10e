"""Training callbacks: the papers' learning rates, adaptive losses, best weights, and exact resuming."""

from keras_uq.callbacks.adaptive_epsilon import AdaptiveEpsilon, adaptive_epsilon
from keras_uq.callbacks.adaptive_tversky_ce import AdaptiveTverskyCE
from keras_uq.callbacks.keep_best import KeepBest
from keras_uq.callbacks.per_image_data import PerImageData, no_epsilon
from keras_uq.callbacks.resume import Resume
from keras_uq.callbacks.step_decay import StepDecay

__all__ = [
    "AdaptiveEpsilon",
    "AdaptiveTverskyCE",
    "KeepBest",
    "PerImageData",
    "Resume",
    "StepDecay",
    "adaptive_epsilon",
    "no_epsilon",
]
