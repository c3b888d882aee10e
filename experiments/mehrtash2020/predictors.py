"""How the rows of a table predict: from a network, or from what the members of an ensemble have predicted before."""

import dataclasses

import numpy as np

from experiments.recorded import recorded
from experiments.scoring import PROBABILITIES, numbered_cases
from keras_uq.inference import Ensemble, MCDropout, fit_temperature, scale_probabilities
from keras_uq.inference.maps import MapSum


class NotStored(ValueError):
    """A cell without stored probabilities: they are not committed."""


@recorded("experiments.mehrtash2020.predictors.single")
def single(job, model, inputs):
    """One deterministic prediction of the network."""
    return Ensemble([model], multilabel=job.row.channels.multilabel)


@recorded("experiments.mehrtash2020.predictors.sampled")
def sampled(job, model, inputs):
    """Monte Carlo dropout."""
    return MCDropout(model, job.settings.samples, job.seed, multilabel=job.row.channels.multilabel)


@recorded("experiments.mehrtash2020.predictors.ensemble")
def ensemble(job, model, inputs):
    """The mean of all members' probabilities (Eq. 6)."""
    return Stored(inputs)


@recorded("experiments.mehrtash2020.predictors.tempered")
def tempered(job, model, inputs):
    """The network at the temperature that suits its validation cases best."""
    validation = [
        (np.asarray(job.data.mask(case))[..., 0], number)
        for number, part, case in numbered_cases(job.data)
        if part == "validation"
    ]
    network = Stored(inputs)
    pairs = _Lazy(lambda: ((mask, network.members(number)[0]) for mask, number in validation))
    return Stored(inputs, fit_temperature(pairs))


class Stored:
    """Predicts from the probabilities that the members' cells have stored, by number of the case.

    The mean is taken at a `temperature`, 1 to leave it.
    """

    def __init__(self, folders, temperature=1.0):
        self.folders = [folder / PROBABILITIES for folder in folders]
        self.temperature = temperature

    def members(self, number):
        """The members' probabilities of a case, memory maps `(depth, height, width, classes)`."""
        return [stored(folder, number) for folder in self.folders]

    def predict(self, images, batch_size=8, case=0):
        """`UncertaintyMaps` over the members; images are only asked for their number."""
        total = MapSum()
        for probabilities in self.members(case):
            total.add(probabilities)
        maps = total.maps()
        if self.temperature != 1:
            maps = dataclasses.replace(maps, mean=scale_probabilities(maps.mean, self.temperature))
        return maps


def stored(folder, number):
    """Probabilities that a cell has kept. Raises `NotStored` if they are gone."""
    try:
        return np.load(folder / f"{number}.npy", mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise NotStored(
            f"{folder.parent.name} has a record but no probabilities: they are too large to be committed. Remove its "
            "provenance.json, and the table predicts with it again."
        ) from None


def keep(folder, number, probabilities):
    """Keep a case's probabilities beside the record."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{number}.npy", probabilities.astype("float32"), allow_pickle=False)


class _Lazy:
    """Something to go through again and again, one case in memory at a time."""

    def __init__(self, make):
        self._make = make

    def __iter__(self):
        return self._make()
