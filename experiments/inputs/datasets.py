"""Find the dataset of a run, and prepare it if that has not been done yet."""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path

import filelock

from data_prep import acdc, atlas, brats, decathlon, pancreas_ct, prostate, synthetic_ct, synthetic_nuclei
from data_prep.pictures import COLLECTIONS
from data_prep.prepare import prepare
from data_prep.prepared import DamagedData, Prepared
from data_prep.sources import Content, archives_of, open_source
from experiments.choices import Patches
from experiments.inputs.cases import Cases, SliceSplit
from experiments.settings import preprocessing_of

HOW_TO_GET = {
    "atlas23": atlas.HOW_TO_GET,
    "acdc": acdc.HOW_TO_GET,
    "brats2017": brats.HOW_TO_GET,
    "pancreas_ct": pancreas_ct.HOW_TO_GET,
    "prostatex": prostate.PROSTATEX,
    "promise12": prostate.PROMISE12,
}
# Part of the name of a prepared folder: a higher number makes all of them again.
LAYOUT = 3
# Slices that are not resized are padded to a multiple of this, for networks that pool four times.
MULTIPLE = 16
# Patients of the synthetic dataset where a profile does not say.
SYNTHETIC = 60


def cache_folder():
    """Where generated, unpacked and prepared data live: `KERAS_UQ_CACHE`, or `.cache` of the working folder."""
    return Path(os.environ.get("KERAS_UQ_CACHE", ".cache"))


def synthetic_name(organ):
    """Name of the synthetic dataset that has this organ, such as `synthetic CT`."""
    modality = synthetic_nuclei.MODALITY if organ == "nuclei" else synthetic_ct.MODALITY[organ]
    return f"synthetic {modality}"


def open_cases(table, settings, profile, data=None, dataset=None, skip_bad=False, track=list):
    """The cases of a run, prepared if need be.

    Args:
        table: The `Table`.
        settings: Its `Settings` under the profile.
        profile: The `Profile`.
        data: Folder of official archives, or `None`.
        dataset: Path below `data`, the synthetic dataset's name, or `None` for the profile's default.
        skip_bad: Leave out cases that cannot be used.
        track: Wraps the list of cases, for a progress bar.

    Returns:
        `Cases`. They know those of `table.shifted` if the run is on the paper's own dataset and that one is there.

    Raises:
        ValueError: If the dataset is not there (the message says how to get it) or cannot be split as asked.
    """
    if dataset is None:
        dataset = synthetic_name(table.synthetic) if profile.synthetic else table.dataset
    if dataset == synthetic_name(table.synthetic):
        source = _synthetic(table.synthetic, profile.synthetic or SYNTHETIC)
    else:
        source = _official(data, dataset)
    arguments = table, settings, skip_bad, track
    folder, modality = _prepared(source, dataset, *arguments)
    if settings.split == "slices":
        return SliceSplit(folder, dataset, modality)
    shifted = None
    if table.shifted is not None and dataset == table.dataset and any(_places(data, table.shifted)):
        folder_of_shifted, its_modality = _prepared(_official(data, table.shifted), table.shifted, *arguments)
        shifted = Cases(folder_of_shifted, table.shifted, its_modality)
    return Cases(folder, dataset, modality, shifted)


def _prepared(source, dataset, table, settings, skip_bad, track):
    """The prepared folder of an archive, made if need be, and the modality."""
    folder = cache_folder() / "prepared"
    with _alone(folder / "unpacked"):
        archive = open_source(source, folder / "unpacked")
    content = Content(source, folder / "unpacked")
    if settings.split == "slices":
        _check_slices(table, settings, archive, dataset)
    patches = isinstance(settings.input, Patches)
    steps = dataclasses.replace(preprocessing_of(settings, archive.modality), multiple=1 if patches else MULTIPLE)
    foreground = sorted(set(archive.labels) - {0}) if table.foreground == "all" else table.foreground
    choices = {
        "foreground": sorted(foreground) if foreground else None,
        "max_cases": settings.max_cases,
        "split": None if settings.split == "slices" else settings.split,
        "skip_bad": skip_bad,
    }
    identity = {
        **choices,
        "layout": LAYOUT,
        "preprocessing": json.loads(steps.to_json()),
        **({"same_size": False} if patches else {}),
        "source": [source.name, content.digest],
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    output = folder / f"{dataset.replace('/', '_').replace(' ', '-')}-{key}"
    with _alone(output):
        if not _is_prepared(output):
            prepare(source, output, steps, same_size=not patches, track=track, **choices)
            if content.changed():
                shutil.rmtree(output)
                raise ValueError(f"{source} was changed while it was prepared. Run the command again.")
    content.note()
    return output, archive.modality


def _is_prepared(folder):
    """Whether a prepared folder is there and can be opened. One that cannot be opened is deleted."""
    if not folder.exists():
        return False
    try:
        Prepared(folder)
    except DamagedData as error:
        warnings.warn(f"{error} It is prepared again.", stacklevel=2)
        shutil.rmtree(folder)
        return False
    return True


def _check_slices(table, settings, archive, dataset):
    """Slices can be split where a case is many of them and the network takes them one by one."""
    if settings.input.rank != 2:
        reason = f"the networks of {table.paper} {table.name} take volumes, not slices"
    elif archive.pictures:
        reason = f"a case of {dataset} is one picture, so its usual split is one over slices already"
    else:
        return
    raise ValueError(f"--split slices puts slices of one case into several sets, but {reason}. Leave it out.")


@contextlib.contextmanager
def _alone(output):
    """One process at a time: two tables may be started side by side.

    Where the file system has no locks, or cannot be written, nobody waits.
    """
    with contextlib.suppress(OSError):
        output.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(output.with_name(output.name + ".lock"))
    try:
        lock.acquire()
    except (NotImplementedError, OSError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _synthetic(organ, patients):
    generator = synthetic_nuclei if organ == "nuclei" else synthetic_ct
    # The generator's own code is part of what its data are.
    digest = hashlib.sha256(Path(generator.__file__).read_bytes()).hexdigest()[:8]
    folder = cache_folder() / "generated" / f"synthetic_{organ}_{patients}_{digest}"
    with _alone(folder):
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            if organ == "nuclei":
                synthetic_nuclei.write_collection(folder, patients)
            else:
                synthetic_ct.write_task(folder, organ, patients)
    return folder


def _official(data, dataset):
    if not data:
        raise ValueError(
            f"The dataset {dataset} needs DATA, the folder of official archives: make ... DATA=<folder> "
            f"DATASET={dataset}. {_how_to_get(dataset, Path('<folder>') / dataset)} "
            "To run on synthetic images, use PROFILE=demo."
        )
    for candidate in _places(data, dataset):
        archives = archives_of(candidate)
        return archives[0] if len(archives) == 1 else candidate
    folder = Path(data) / dataset
    raise ValueError(
        f"There is no {folder}, and no {folder.name}.tar or .zip beside it. {_how_to_get(dataset, folder)}"
    )


def _places(data, dataset):
    """Where a dataset is, below the folder of archives."""
    folder = Path(data) / dataset
    candidates = (folder, folder.with_name(folder.name + ".tar"), folder.with_name(folder.name + ".zip"))
    return [candidate for candidate in candidates if candidate.exists()]


def _how_to_get(dataset, folder):
    if dataset in HOW_TO_GET:
        return HOW_TO_GET[dataset]
    if dataset in COLLECTIONS:
        return COLLECTIONS[dataset].how_to_get
    task = decathlon.TASKS.get(Path(dataset).name)
    layout = (
        f"Expected: {folder}.tar as downloaded, or a folder with dataset.json, imagesTr/<case>.nii.gz and "
        "labelsTr/<case>.nii.gz (the layout of the Medical Segmentation Decathlon)."
    )
    if not task:
        return layout
    fetch = f"python -m data_prep.download {task.name} --to {folder.parent}"
    return f"Download it (check the licence, CC BY-SA 4.0; http://medicaldecathlon.com): {fetch}. {layout}"
