"""From a command to jobs. A job is one cell to be: what it depends on, as a configuration with a digest."""

import dataclasses
import functools
import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import keras

from experiments.recorded import digest, name_of, with_recorded_modules
from experiments.settings import Settings
from experiments.table import Row, Table, slug
from keras_uq import models


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """One row with one seed.

    Args:
        table: The `Table`, with the user's changes.
        settings: Its `Settings` under the profile, with the user's changes.
        data: `Cases`.
        row: One of the table's, with its loss for these data.
        seed: Of weights, order and dropout.
        inputs: Jobs whose cells this one is made of.
    """

    table: Table
    settings: Settings
    data: Any
    row: Row
    seed: int
    inputs: tuple = ()

    @property
    def name(self):
        """Of the folder that its record lies in."""
        return f"{slug(self.row.name)}-seed{self.seed}"

    def __str__(self):
        return f"{self.row.name}, seed {self.seed}"

    @functools.cached_property
    def training(self):
        """Everything that decides the training, JSON types; `None` for a row that is not trained."""
        if self.row.loss is None:
            return None
        loss, control = self.row.loss, self.row.control
        inputs = [job.digest for job in self.inputs]
        return _plain(
            {
                "seed": self.seed,
                "loss": with_recorded_modules(keras.saving.serialize_keras_object(loss)),
                "model": model_config(self),
                "data": f"sha256:{self.data.fingerprint}",
                **self.settings.config(),
                **_code_of(loss),
                **(control.config(self.settings.extra, inputs) if control else {}),
            }
        )

    @functools.cached_property
    def config(self):
        """Everything that decides the cell, JSON types."""
        settings, shifted = self.settings, self.data.shifted
        return _plain(
            {
                "row": self.row.name,
                "seed": self.seed,
                "training": self.training,
                "keep": settings.keep,
                "predictor": name_of(self.row.predictor) if self.row.predictor else "MCDropout",
                "samples": settings.samples,
                **(settings.extra.tested() if settings.extra else {}),
                **({"shifted": f"sha256:{shifted.fingerprint}"} if shifted else {}),
                "data": f"sha256:{self.data.fingerprint}",
                "inputs": [job.digest for job in self.inputs],
            }
        )

    @functools.cached_property
    def digest(self):
        return digest(self.config)

    @functools.cached_property
    def training_digest(self):
        """sha256 of the training's configuration, `None` for a row that is not trained."""
        return self.training and digest(self.training)


def plan(table, settings, data, seeds, row=None, seed=None):
    """The jobs of a command, each after the jobs it needs.

    Args:
        table, settings, data: As in `Job`.
        seeds: Of the run.
        row: Name of the only row to run, with the rows it needs; all by default.
        seed: The only seed to run. Rows made from all seeds are then left out.

    Raises:
        ValueError: If the table lacks the row, the row needs itself, or it is made from all seeds and one is given.
    """
    seeds = list(seeds) if seed is None else [seed]
    jobs = {}
    with_loss = functools.cache(lambda name: table.row(name).of(data))

    def add(name, number, above=()):
        if name in above:
            raise ValueError(f"Row {name!r} needs itself as input.")
        if (name, number) not in jobs:
            wanted = with_loss(name)
            input_seeds = dict(wanted.seeds.of(seeds)).get(number, [number])
            inputs = tuple(add(other, member, (*above, name)) for other in wanted.inputs for member in input_seeds)
            jobs[name, number] = Job(table, settings, data, wanted, number, inputs)
        return jobs[name, number]

    rows = table.rows if row is None else [table.row(row)]
    single = [wanted for wanted in rows if not wanted.seeds.together]
    together = [wanted for wanted in rows if wanted.seeds.together]
    if seed is not None and row is not None and together:
        raise ValueError(
            f"Row {row!r} is made once, from the cells of all seeds: leave out --seed {seed}, or name one of the rows "
            f"{', '.join(together[0].inputs)}."
        )
    for number in seeds:
        for wanted in single:
            if number in dict(wanted.seeds.of(seeds)):
                add(wanted.name, number)
    for wanted in together if seed is None else ():
        add(wanted.name, 0)
    return list(jobs.values())


def model_config(job):
    """What `training.build` builds, JSON types."""
    row, settings = job.row, job.settings
    model, outputs = getattr(job.table.model, "func", job.table.model), row.channels.outputs(job.data)
    place = "keras_uq.models" if hasattr(models, model.__name__) else model.__module__
    changes = {**getattr(job.table.model, "keywords", {}), **({} if outputs == 1 else {"classes": outputs})}
    changes |= {**row.channels.arguments, **row.network}
    return {
        "builder": f"{place}.{model.__name__}",
        "arguments": {**changes, "filters": settings.filters, "norm_momentum": settings.norm_momentum},
    }


def _code_of(loss):
    """Digest of the file of a loss that is not ours: its code may change while its configuration does not."""
    if type(loss).__module__.partition(".")[0] in ("keras_uq", "keras"):
        return {}
    return {"loss_code": hashlib.sha256(Path(inspect.getsourcefile(type(loss))).read_bytes()).hexdigest()}


def _plain(config):
    return json.loads(json.dumps(config))
