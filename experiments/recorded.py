"""Names in recorded configurations, and their digest. They stay what they are when a function or a file moves."""

import hashlib
import json

# The module that a loss had when the first cell with it was recorded.
LOSS_MODULES = {
    "SSIM": "ssim",
    "AsymmetricFocal": "unified_focal",
    "AsymmetricFocalTversky": "unified_focal",
    "BinaryCrossentropy": "crossentropy",
    "CategoricalCrossentropy": "crossentropy",
    "Combo": "combo",
    "Dice": "dice",
    "DiceCE": "dice_ce",
    "DicePlusPlus": "dice",
    "FocalTversky": "focal_tversky",
    "Hybrid": "hybrid",
    "Jaccard": "jaccard",
    "LogCosh": "log_cosh",
    "LogCoshDice": "log_cosh",
    "LogDice": "log_dice",
    "PolyDice": "poly_dice",
    "Tversky": "tversky",
    "TverskyCE": "tversky_ce",
    "TverskyCEWeights": "tversky_ce",
    "UnifiedFocal": "unified_focal",
}


def recorded(name):
    """Decorator: `name` stands for the function in configurations."""

    def mark(function):
        function.recorded_name = name
        return function

    return mark


def name_of(function):
    """What stands for a function in configurations: its recorded name, or where it is defined."""
    return getattr(function, "recorded_name", None) or f"{function.__module__}.{function.__qualname__}"


def with_recorded_modules(serialized):
    """What Keras makes of a loss, with the recorded module in place of today's for classes of `keras_uq`."""
    if isinstance(serialized, (list, tuple)):
        return [with_recorded_modules(part) for part in serialized]
    if not isinstance(serialized, dict):
        return serialized
    parts = {key: with_recorded_modules(part) for key, part in serialized.items()}
    module, name = parts.get("module"), parts.get("class_name")
    if isinstance(module, str) and module.startswith("keras_uq.") and name in LOSS_MODULES:
        parts["module"] = f"keras_uq.losses.{LOSS_MODULES[name]}"
    return parts


def digest(config):
    """sha256 of a configuration of JSON types. The row's name is no part of it: tables share cells."""
    shared = {key: value for key, value in config.items() if key != "row"}
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()
