"""Train, sample and score the cells of a table. A cell, a row and a seed, is a function of configuration and data."""

import argparse
import dataclasses
import importlib.util
import json
import shutil
import time
from pathlib import Path

import keras
import numpy as np
from keras.callbacks import EarlyStopping
from rich.console import Console
from rich.progress import track

from data_prep.decathlon import BadDataset
from data_prep.prepared import write_text
from experiments import datasets, record
from experiments.slices import FollowEpoch, Slices
from experiments.table import PROFILES, apply_profile, departures, scale_epochs
from keras_uq import metrics
from keras_uq.callbacks import KeepBest, Resume, StepDecay
from keras_uq.inference import MCDropout, save_model
from keras_uq.preprocessing import Preprocessing

CONSOLE = Console()
MODES = {"val_dice": "max", "val_loss": "min"}


def main(table, arguments=None):
    """Command line of a table: run its missing cells, then write the table. Returns the exit status."""
    options = _parser(table).parse_args(arguments)
    try:
        run(table, options)
    except (BadDataset, ValueError) as error:
        CONSOLE.print(f"[red]{error}[/red]", highlight=False)
        return 2
    return 0


def run(table, options):
    """Run the cells that `options` ask for and that have no record yet. Returns the run's folder."""
    if options.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ValueError("--tensorboard needs TensorBoard, which is not installed: pip install tensorboard.")
    profile = PROFILES[options.profile]
    settings = apply_profile(table.settings, profile)
    if options.epochs:
        settings = scale_epochs(settings, options.epochs)
    data, dataset, modality = datasets.prepared(
        table,
        settings,
        profile,
        options.data,
        options.dataset,
        options.skip_bad,
        track=lambda cases: track(cases, "preparing", console=CONSOLE),
    )
    folder = run_folder(table, options.profile, dataset, options.results)
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "paper": table.paper,
        "table": table.name,
        "title": table.title,
        "profile": options.profile,
        "dataset": dataset,
        "modality": modality,
        "data": f"sha256:{data.fingerprint}",
        "cases": {name: len(cases) for name, cases in data.split.items()},
        "departures": departures(table, settings, dataset, modality, data.description["origin"]),
        "spread": table.spread,
        "reference": table.reference,
        "rows": [row.name for row in table.rows],
    }
    write_text(folder / "run.json", json.dumps(about, indent=2) + "\n")
    seeds = range(options.seeds or profile.seeds) if options.seed is None else [options.seed]
    rows = table.rows if options.row is None else [table.row(options.row)]
    cells = [(row, seed) for seed in seeds for row in _with_inputs(table, rows)]
    for number, (row, seed) in enumerate(cells, start=1):
        CONSOLE.rule(f"{number} of {len(cells)}: {row.name}, seed {seed}")
        run_cell(table, row, seed, settings, data, folder, options.tensorboard)
    if not options.no_report:
        from experiments.report import terminal_table, write_report

        write_report(folder)
        CONSOLE.print(terminal_table(folder))
        CONSOLE.print(f"Report: {folder / 'report.html'}", soft_wrap=True)
    return folder


def run_cell(table, row, seed, settings, data, folder, tensorboard=None):
    """Run one cell unless its record is there. Returns its folder."""
    cell = cell_folder(folder, row.name, seed)
    inputs = [cell_folder(folder, name, seed) for name in row.inputs]
    config = {
        "row": row.name,
        "seed": seed,
        **dataclasses.asdict(settings),
        "loss": None if row.loss is None else keras.saving.serialize_keras_object(row.loss),
        "model": _model_config(table, settings),
        "foreground": sorted(table.foreground),
        "data": f"sha256:{data.fingerprint}",
        "inputs": [json.loads((path / "provenance.json").read_text())["config_sha256"] for path in inputs],
    }
    config = json.loads(json.dumps(config))
    if record.is_finished(cell, config):
        CONSOLE.print(f"recorded in {cell.name}")
        return cell
    training = cell / "training"
    started = training / "config.json"
    if cell.exists() and not (started.exists() and json.loads(started.read_text()) == config):
        shutil.rmtree(cell)  # Of another configuration.
    training.mkdir(parents=True, exist_ok=True)
    write_text(started, json.dumps(config))
    begin = time.monotonic()
    preprocessing = Preprocessing(**data.description["preprocessing"])
    tables, model = {}, None
    if row.loss is not None:
        tables["history.csv"] = train(table, row, seed, settings, data, training, tensorboard)
        model = build(table, settings, data)
        model.load_weights(training / f"best_{settings.keep}.weights.h5")
        save_model(model, cell / "model.keras", preprocessing)
    predictor = (row.predictor or _default_predictor(settings))(model, seed, inputs)
    tables["cases.csv"] = score(predictor, data, cell / "panel.npz")
    record.write(cell, config, tables, time.monotonic() - begin, data)
    for keep in MODES:
        best = training / f"best_{keep}.weights.h5"
        if best.exists():
            best.replace(cell / best.name)
    shutil.rmtree(training)
    return cell


def build(table, settings, data):
    """The table's network for the data's channels, uncompiled."""
    channels = data.image(data.split["train"][0]).shape[-1]
    return table.model((None, None, channels), filters=settings.filters, norm_momentum=settings.norm_momentum)


def train(table, row, seed, settings, data, folder, tensorboard=None):
    """Train one network; take up an interrupted training. Returns its history, one dictionary an epoch."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    model = build(table, settings, data)
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate), loss=row.loss, metrics=[metrics.DiceMetric()]
    )
    slices = Slices(data, data.split["train"], settings.batch, seed, settings.steps)
    validation = Slices(data, data.split["validation"], settings.batch)
    callbacks = [
        FollowEpoch(slices),
        StepDecay(settings.decay_factor, settings.decay_every, initial=settings.learning_rate),
        EarlyStopping(settings.keep, patience=settings.patience, mode=MODES[settings.keep]),
        *[KeepBest(folder / f"best_{keep}.weights.h5", keep, mode) for keep, mode in MODES.items()],
    ]
    if tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(Path(tensorboard) / f"{_slug(row.name)}-seed{seed}"))
    resume = Resume(folder / "resume", callbacks)
    model.fit(
        slices,
        validation_data=validation,
        epochs=settings.epochs,
        shuffle=False,
        callbacks=[*callbacks, resume],
        verbose=1 if CONSOLE.is_terminal else 2,
    )
    if not (folder / f"best_{settings.keep}.weights.h5").exists():
        raise RuntimeError(f"{row.name}, seed {seed}: {settings.keep} was never finite, so there is no best epoch.")
    return resume.history


def score(predictor, data, panel):
    """One line of measures for each test case; a picture of the first goes to `panel`."""
    lines = []
    for number, case in enumerate(track(data.split["test"], "sampling", console=CONSOLE)):
        image, mask = np.asarray(data.image(case)), data.mask(case)[..., 0] > 0
        maps = predictor.predict(image, batch_size=8, case=number)
        probability = maps.mean[..., -1]
        predicted = maps.mask > 0
        overlap, predicted_sum, labelled_sum = metrics.soft_counts(mask, probability)
        lines.append(
            {
                "case": case,
                "dice": metrics.dice(mask, predicted),
                "jaccard": metrics.jaccard(mask, predicted),
                "sensitivity": metrics.sensitivity(mask, predicted),
                "specificity": metrics.specificity(mask, predicted),
                "precision": metrics.precision(mask, predicted),
                "soft_overlap": overlap,
                "soft_predicted": predicted_sum,
                "soft_labelled": labelled_sum,
                **_statistics("uncertainty", maps.entropy),
                **_statistics("prediction", probability),
                **_statistics("mutual_information", maps.mutual_information),
            }
        )
        if number == 0:
            _save_panel(panel, case, image, mask, probability, maps.entropy)
    return lines


def _statistics(name, volume):
    statistics = metrics.map_statistics(volume)
    return {f"{name}_{field}": value for field, value in statistics._asdict().items()}


def _save_panel(path, case, image, mask, probability, entropy):
    """The slice with most foreground of a case, small enough to be kept with the record."""
    at = int(np.argmax(mask.sum(axis=(1, 2))))
    temporary = path.with_name(".panel.npz")
    np.savez_compressed(
        temporary,
        case=np.array(case),
        slice=np.array(at),
        image=image[at, :, :, 0].astype("float16"),
        mask=mask[at],
        probability=probability[at].astype("float16"),
        entropy=entropy[at].astype("float16"),
    )
    temporary.replace(path)


def _default_predictor(settings):
    return lambda model, seed, inputs: MCDropout(model, samples=settings.samples, seed=seed)


def _model_config(table, settings):
    model = getattr(table.model, "func", table.model)
    changes = getattr(table.model, "keywords", {})
    return {
        "builder": f"keras_uq.models.{model.__name__}",
        "arguments": {**changes, "filters": settings.filters, "norm_momentum": settings.norm_momentum},
    }


def _with_inputs(table, rows):
    """The rows, each after the rows it needs."""
    ordered = []

    def add(row, above=()):
        if row.name in above:
            raise ValueError(f"Row {row.name!r} needs itself as input.")
        for name in row.inputs:
            add(table.row(name), (*above, row.name))
        if row not in ordered:
            ordered.append(row)

    for row in rows:
        add(row)
    return ordered


def run_folder(table, profile, dataset, results="results/runs"):
    """Where the runs of a table under a profile on a dataset are recorded."""
    name = f"{profile}-{dataset.replace('/', '_').replace(' ', '_')}"
    return Path(results) / f"{table.paper}_{table.name}" / name


def cell_folder(folder, row, seed):
    """Where a cell is recorded."""
    return folder / f"{_slug(row)}-seed{seed}"


def _slug(name):
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower()).strip("-")


def _parser(table):
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{table.paper}.{table.name}", description=table.title)
    parser.add_argument("--profile", choices=PROFILES, default="demo", help="how much of the protocol (demo)")
    parser.add_argument("--data", help="folder of official archives")
    parser.add_argument("--dataset", help="path below it: a known archive, or any folder in Decathlon layout")
    parser.add_argument("--row", help="only this row")
    parser.add_argument("--seed", type=int, help="only this seed")
    parser.add_argument("--seeds", type=int, help="this many seeds, from 0")
    parser.add_argument("--epochs", type=int, help="at most this many epochs; schedule and patience scale along")
    parser.add_argument("--skip-bad", action="store_true", help="leave out cases that cannot be used")
    parser.add_argument("--tensorboard", help="folder for TensorBoard logs")
    parser.add_argument("--results", default="results/runs", help="folder for records (results/runs)")
    parser.add_argument("--no-report", action="store_true", help="only run the cells")
    return parser
