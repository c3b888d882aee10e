"""Callbacks of training: the papers' schedules, keeping the best weights, and resuming exactly."""

from keras_uq.callbacks.keep_best import KeepBest
from keras_uq.callbacks.resume import Resume
from keras_uq.callbacks.step_decay import StepDecay

__all__ = ["KeepBest", "Resume", "StepDecay"]
