"""What a cell is trained and tested with, apart from its loss and seed."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.choices import Slices
from experiments.described import Described, as_text, setting
from keras_uq.preprocessing import Preprocessing

LEAST_PATIENCE = 6  # Epochs; with less, the noise of an epoch decides.
PREPROCESSING_LABELS = {"size": "slice size", "spacing": "voxel size in mm", "crop": "crop"}
AS_SCANNED = {"size": "as scanned", "spacing": "as scanned", "crop": "none"}


@dataclass(frozen=True)
class Settings(Described):
    """What a cell is trained and tested with.

    Args:
        preprocessing: `{"CT": Preprocessing, "other": Preprocessing}`, by the modality of the scans.
        optimizer, schedule, input: Objects of `experiments.choices`.
        max_cases: Use at most so many cases.
        split: Name of one of the dataset's ways to split it; `None` for its usual one.
        filters: Of the network's first stage.
        norm_momentum: Of batch normalisation.
        batch: Slices, volumes or patches per batch.
        epochs: At most.
        steps: Batches per epoch; `None` for all.
        patience: Training stops after so many epochs without a better `monitor`.
        monitor: `"val_dice"` or `"val_loss"`: decides when training stops.
        keep: `"val_dice"` or `"val_loss"`: decides which epoch is tested.
        samples: Of Monte Carlo dropout.
        augmentation: `(image, mask, seed) -> (image, mask)` with a `recorded_name`, or `None`.
        hard_dice: `val_dice` is that of predicted classes, not of probabilities.
        extra: Settings that one paper alone has, an object of its folder, or `None`.
    """

    preprocessing: dict
    optimizer: Any
    schedule: Any
    input: Any = Slices()
    max_cases: int | None = setting("cases", None)
    split: str | None = setting("split over", "patients", none="the usual")
    filters: int = setting("filters of the first stage", 16)
    norm_momentum: float = setting("batch-norm momentum", 0.99)
    batch: int = setting("batch size", 16, key="batch")
    epochs: int = setting("epochs", 20, key="epochs")
    steps: int | None = setting("batches per epoch", None, key="steps")
    patience: int = setting("patience", 10, key="patience")
    monitor: str = setting("stops early by", "val_dice", key="monitor")
    keep: str = setting("best epoch by", "val_dice")
    samples: int = setting("samples", 20)
    augmentation: Callable | None = setting("augmentation", None, key="augmentation", none="none", optional=True)
    hard_dice: bool = setting("validation Dice of predicted classes", False, key="hard_dice", optional=True)
    extra: Any = None

    def described(self):
        steps = self.preprocessing["other"]
        shown = {
            label: AS_SCANNED[name] if getattr(steps, name) is None else as_text(getattr(steps, name))
            for name, label in PREPROCESSING_LABELS.items()
        }
        return shown | super().described()

    def replace(self, **changes):
        """The settings with some fields changed; fields of `Preprocessing` change for every modality."""
        steps = {name: changes.pop(name) for name in PREPROCESSING_LABELS if name in changes}
        preprocessing = {name: dataclasses.replace(of, **steps) for name, of in self.preprocessing.items()}
        return dataclasses.replace(self, preprocessing=preprocessing, **changes)

    def scale_epochs(self, epochs):
        """At most `epochs` epochs, schedule and patience scaled with them.

        Epochs at a rate that has fallen too far to move anything are dropped first: a protocol of 40 epochs and one of
        20 with the same steps are cut to the same schedule.
        """
        if epochs >= self.epochs:
            return self
        share = min(epochs / self.schedule.useful_epochs(self.epochs), 1.0)
        if share == 1:
            return self.replace(epochs=epochs)
        return self.replace(
            epochs=epochs,
            schedule=self.schedule.scaled(share),
            patience=max(round(self.patience * share), LEAST_PATIENCE),
            extra=self.extra and self.extra.scaled(share),
        )


def any_modality(steps):
    """The same `Preprocessing` for scans of every modality."""
    return {"CT": steps, "other": steps}


def preprocessing_of(settings, modality) -> Preprocessing:
    """The `Preprocessing` for scans of a modality."""
    return settings.preprocessing["CT" if modality == "CT" else "other"]
