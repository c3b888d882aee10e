"""What `keras-uq predict` predicts with, from its options: preprocessing, predictor and quality card."""

import argparse
from pathlib import Path

from keras_uq.inference.ensemble import Ensemble
from keras_uq.inference.mc_dropout import MCDropout
from keras_uq.inference.model_checks import check_scan
from keras_uq.inference.model_file import load_model, read_multilabel, read_preprocessing, read_quality, read_window
from keras_uq.inference.nifti import check_quality, first_model, number_of_classes
from keras_uq.inference.predictor import Predictor
from keras_uq.inference.quality import QualityCard
from keras_uq.inference.sliding_window import SlidingWindow
from keras_uq.preprocessing import Preprocessing


def preprocessing_of(options: argparse.Namespace) -> Preprocessing:
    """Return the given preprocessing, or the one that all models have in common."""
    if options.preprocessing is not None:
        return Preprocessing.from_json(Path(options.preprocessing).read_text("utf-8-sig"), options.preprocessing)
    configurations = [read_preprocessing(model) for model in options.model]
    if None in configurations:
        raise ValueError(
            f"{options.model[configurations.index(None)]} contains no preprocessing. Give it with --preprocessing "
            f"file.json, or save the model with keras_uq.inference.save_model."
        )
    if any(other != configurations[0] for other in configurations):
        raise ValueError("The models need different preprocessing, so they cannot predict as one ensemble.")
    return configurations[0]


def predictor_of(options: argparse.Namespace) -> Predictor:
    """Build the predictor: a `SlidingWindow` if the models or the user give a window, else a predictor of slices."""
    windows = {options.window or read_window(model) for model in options.model}
    if len(windows) > 1:
        sides = ", ".join(sorted(map(str, windows)))
        raise ValueError(f"The models were trained on different windows, {sides}: choose one with --window.")
    (window,) = windows
    if window is None and options.overlap is not None:
        raise ValueError(
            f"--overlap does nothing without windows, and {options.model[0]} was saved without one. Give --window as "
            "well for a 3D model, or leave --overlap out for a model of slices."
        )
    predictor = _sampler(options)
    _check_window(options, predictor, window)
    if window is None:
        return predictor
    overlap = 0.5 if options.overlap is None else options.overlap
    return SlidingWindow(predictor, window, overlap, consistent=not options.independent_masks)


def _check_window(options, predictor, window):
    """Refuse windows that the model does not take, and a model of volumes without windows."""
    model, file = first_model(predictor), options.model[0]
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple):
        return
    axes = len(shape) - 2
    if window is None and axes == 3:
        raise ValueError(
            f"{file} takes {axes}D images and was saved without a window. Give the sides of its training windows, such "
            "as --window 96,96,96."
        )
    if window is not None:
        given = "--window" if options.window else f"the window of {file}"
        if axes != len(window):
            raise ValueError(f"{given} has {len(window)} sides; {file} takes {axes}D images. Leave --window out.")
        check_scan(model, (1, *window, shape[-1] or 1), given)


def _sampler(options):
    multilabel = [read_multilabel(model) for model in options.model]
    if options.deterministic:
        if len(set(multilabel)) > 1:
            raise ValueError(
                "Some models have independent channels (multilabel) and some have exclusive classes. Use models of "
                "one kind."
            )
        return Ensemble(options.model, multilabel=multilabel[0])
    members = [
        MCDropout(
            load_model(model),
            20 if options.samples is None else options.samples,
            (options.seed or 0) + index,
            shared=not options.independent_masks,
            multilabel=multilabel[index],
        )
        for index, model in enumerate(options.model)
    ]
    classes = {number_of_classes(member) for member in members}
    if len(classes) > 1:
        raise ValueError(f"The models have different numbers of classes, {classes}: they cannot be one ensemble.")
    return members[0] if len(members) == 1 else Ensemble(members)


def quality_of(options: argparse.Namespace, predictor: Predictor) -> QualityCard | None:
    """Return the given quality card, or the one that all models have in common, or `None`."""
    if options.quality is not None:
        card = QualityCard.from_json(Path(options.quality).read_text("utf-8-sig"), options.quality)
    else:
        cards = [read_quality(model) for model in options.model]
        card = cards[0] if all(card == cards[0] for card in cards) else None
        if card is None and any(cards):
            print("The models have different quality cards, so none is used. Choose one with --quality.")
    check_quality(card, number_of_classes(predictor))
    return card
