"""Run jobs: train or share, predict, score, record. What one process works on, another leaves alone."""

import contextlib
import json
import os
import shutil
import time

import numpy as np
from rich.progress import track

from experiments import failures, records
from experiments.scoring import PROBABILITIES, scorer_of
from experiments.screen import CONSOLE, heading, say
from experiments.store import WORK, is_work
from experiments.training import Diverged, build, train, trained_files, weights_file
from keras_uq.files import process_name, write_text
from keras_uq.inference import MCDropout, save_model
from keras_uq.preprocessing import Preprocessing

# Seconds until a job that another process works on is looked at again.
PAUSE = 5
# What a cell keeps beside its record: pictures of all test cases, and the model.
PANELS, MODEL = "panels.npz", "model.keras"
# Files of a work folder that a later process goes on from.
RESUMED = ("resume/state.json", "training.json")


class Busy(Exception):
    """Another process works on this cell, or on the training it needs."""


def run(jobs, folder, store, tensorboard=None, pause=PAUSE):
    """Run the jobs that have no record yet. A job that fails does not keep the others from running.

    Args:
        jobs: Each after the jobs it needs.
        folder: Of the run.
        store: The `Store` of all records.
        tensorboard: Folder of logs, or `None`.
        pause: Seconds to wait when other processes work on all that is left.

    Returns:
        One sentence for each job without a result, with the reason.
    """
    failed, waiting = {}, list(jobs)
    numbers = {job: number for number, job in enumerate(jobs, start=1)}
    while waiting:
        busy = []
        for job in waiting:
            missing = next((other for other in job.inputs if other in failed), None)
            if missing is not None:
                failed[job] = f"{job}: its input {missing.name} has no result."
            elif any(other in busy for other in job.inputs):
                busy.append(job)
            else:
                try:
                    heading(f"{numbers[job]} of {len(jobs)}: {job}")
                    run_one(job, folder, store, tensorboard)
                    failures.forget(store.results, folder / job.name)
                except Busy:
                    say("another process works on it")
                    busy.append(job)
                except Diverged as error:
                    failed[job] = f"{job}: {error}"
                except Exception as error:
                    failed[job] = f"{job}: {failures.explained(error, folder / job.name, store.results)}"
        if len(busy) == len(waiting):
            time.sleep(pause)
        waiting = busy
    return list(failed.values())


def run_one(job, folder, store, tensorboard=None):
    """Run one job whose inputs have records, unless it, or one with its configuration, has a record.

    Raises:
        Busy: If another process works on it.
        Diverged: If its training has no result.
        ValueError: If a record is damaged, or one made from more cells stands where this one would.
    """
    cell = folder / job.name
    if store.record(cell, job.digest) is not None:
        store.sweep_cell(cell)
        say(f"recorded in {job.name}")
        return
    with store.taken(f"cell {records.name_of(cell)}") as held:
        if not held:
            raise Busy
        if store.record(cell, job.digest) is not None:  # By another process, a moment ago.
            return
        if (twin := store.find(job.digest)) is not None:
            store.share(twin, cell, job.row.name)
            say(f"the same as {records.name_of(twin.folder)}")
            return
        _refuse_smaller(job, cell)
        job.data.verify_once()
        with _work_folder(job, cell) as work:
            if job.training is None or _trained(job, work, store):
                _predict(job, cell, work, store)
                return
            with store.taken(f"training {job.training_digest}") as held:
                if not held:
                    raise Busy
                if not _trained(job, work, store):
                    begin = time.monotonic()
                    inputs = [folder / other.name for other in job.inputs]
                    history = train(job, work, inputs, 1 if CONSOLE.is_terminal else 2, tensorboard)
                    records.write_training(work, job.training_digest, history, time.monotonic() - begin)
                _predict(job, cell, work, store)


def _refuse_smaller(job, cell):
    """A record made from more cells is not replaced by one made from fewer."""
    try:
        inputs = records.Record(cell).config["inputs"]
    except FileNotFoundError:
        return
    if job.row.seeds.together and len(inputs) > len(job.inputs):
        raise ValueError(
            f"{cell.name} is recorded from {len(inputs)} cells and would be replaced by one made from "
            f"{len(job.inputs)}. Give --seeds {len(inputs)}, or another folder with --results."
        )


@contextlib.contextmanager
def _work_folder(job, cell):
    """A folder of this process alone, where an interrupted training of the same job goes on.

    If the job fails before the first epoch is saved, the folder is removed.
    """
    cell.mkdir(parents=True, exist_ok=True)
    work = cell / f"{WORK}-{process_name()}"
    for left in sorted(filter(is_work, cell.iterdir())):
        started = left / "config.json"
        if not work.exists() and records.read_json(started) == job.config:
            os.replace(left, work)
        else:
            shutil.rmtree(left)  # Of another configuration.
    try:
        work.mkdir(exist_ok=True)
        write_text(work / "config.json", json.dumps(job.config))
        yield work
    except Exception:
        if not any((work / name).exists() for name in RESUMED):
            shutil.rmtree(work, ignore_errors=True)
            with contextlib.suppress(OSError):
                cell.rmdir()  # Unless it holds another record.
        raise


def _trained(job, work, store):
    """Whether the work folder holds the training, which may come from a cell that was trained alike."""
    if records.is_trained(work, job.training_digest):
        return True
    twin = store.find_training(job.training_digest, weights_file(job.settings.keep))
    if twin is None:
        return False
    say(f"trained for {records.name_of(twin)}")
    for name in trained_files(job):
        if (twin / name).exists():
            shutil.copyfile(twin / name, work / name)
    return True


def _predict(job, cell, work, store):
    """Predict and score all cases, and record the cell."""
    model = None
    if job.training is not None:
        model = build(job)
        model.load_weights(work / weights_file(job.settings.keep))
    inputs = [cell.parent / other.name for other in job.inputs]
    begin = time.monotonic()
    predictor = (job.row.predictor or _monte_carlo)(job, model, inputs)
    scorer = scorer_of(job.table.paper)(job, predictor, work)
    tables, panels = scorer.run(lambda cases: track(cases, "predicting", console=CONSOLE))
    np.savez_compressed(work / PANELS, **panels)
    if model is not None:
        save_model(
            model,
            work / MODEL,
            Preprocessing(**job.data.description["preprocessing"]),
            multilabel=job.row.channels.multilabel,
            quality=scorer.quality(tables),
            window=getattr(job.settings.input, "sides", None),
        )
    kept = (*trained_files(job), PANELS, MODEL, PROBABILITIES)
    store.write(cell, job, work, tables, time.monotonic() - begin, kept)


def _monte_carlo(job, model, inputs):
    return MCDropout(model, samples=job.settings.samples, seed=job.seed)
