"""Find or make the prepared folder a run needs."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

from data_prep import decathlon, synthetic_ct
from data_prep.prepared import Prepared

SYNTHETIC = "synthetic CT"


def cache_folder():
    """Where generated, unpacked and prepared data live: `KERAS_UQ_CACHE`, or `.cache` of the working folder."""
    return Path(os.environ.get("KERAS_UQ_CACHE", ".cache"))


def prepared(table, settings, profile, data=None, dataset=None, skip_bad=False, track=list):
    """The prepared data of a run, made if need be.

    Args:
        table: The `Table`.
        settings: Its `Settings` under the profile.
        profile: The `Profile`.
        data: Folder of official archives, or `None`.
        dataset: Path below `data`, `"synthetic CT"`, or `None` for the profile's default.
        skip_bad: Leave out cases that cannot be used.
        track: Wraps the list of cases, for a progress bar.

    Returns:
        `Prepared`, the dataset's name and its modality.

    Raises:
        ValueError: If the dataset is not there; the message says how to get it.
    """
    if dataset is None:
        dataset = SYNTHETIC if profile.synthetic else table.dataset
    if dataset == SYNTHETIC:
        source = _synthetic(table.synthetic, profile.patients)
    else:
        source = _official(data, dataset)
    modality = _modality(source)
    steps = dataclasses.replace(
        table.ct if modality == "CT" else table.mri, size=settings.size, multiple=profile.multiple
    )
    arguments = {
        "foreground": sorted(table.foreground),
        "max_cases": settings.max_cases,
        "preprocessing": json.loads(steps.to_json()),
        "skip_bad": skip_bad,
        "source": _identity(source),
    }
    key = hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()[:12]
    output = cache_folder() / "prepared" / f"{dataset.replace('/', '_').replace(' ', '-')}-{key}"
    if not (output / "dataset.json").exists():
        output.parent.mkdir(parents=True, exist_ok=True)
        decathlon.prepare(
            source,
            output,
            steps,
            foreground=table.foreground,
            max_cases=settings.max_cases,
            skip_bad=skip_bad,
            track=track,
        )
    return Prepared(output), dataset, modality


def _synthetic(organ, patients):
    folder = cache_folder() / "generated" / f"synthetic_{organ}_{patients}_{_source_digest()}"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        synthetic_ct.write_task(folder, organ, patients)
    return folder


def _source_digest():
    """The generator's own code is part of what its data are."""
    return hashlib.sha256(Path(synthetic_ct.__file__).read_bytes()).hexdigest()[:8]


def _official(data, dataset):
    if not data:
        raise ValueError(
            f"The dataset {dataset} needs DATA, the folder of official archives: make ... DATA=<folder> "
            f"DATASET={dataset}. To run on the synthetic CT, use PROFILE=demo."
        )
    folder = Path(data) / dataset
    for candidate in (folder, folder.with_name(folder.name + ".tar")):
        if candidate.exists():
            return candidate
    known = decathlon.TASKS.get(Path(dataset).name)
    fetch = (
        f"Download it (check the licence, CC BY-SA 4.0): python -m data_prep.download {known.name} --to {folder.parent}"
        if known
        else "Expected a folder in Decathlon layout: dataset.json, imagesTr, labelsTr."
    )
    raise ValueError(f"There is no {folder} and no {folder.name}.tar beside it. {fetch}")


def _modality(source):
    """`CT`, `MRI`, ... as `dataset.json` has it, read from the archive if it is not unpacked yet."""
    if source.is_file():
        unpacked = cache_folder() / "prepared" / "unpacked" / source.name.removesuffix(".tar")
        if not unpacked.exists():
            unpacked.parent.mkdir(parents=True, exist_ok=True)
            decathlon.extract_tar(source, unpacked)
        source = unpacked
    content = json.loads((decathlon.find_task(source) / "dataset.json").read_text())
    modalities = content.get("modality") or {"0": "unknown"}
    return next(iter(modalities.values()))


def _identity(source):
    """Enough to notice that a source changed, without reading gigabytes at every start."""
    if source.is_file():
        return [source.name, source.stat().st_size]
    content = (decathlon.find_task(source) / "dataset.json").read_bytes()
    return [source.name, hashlib.sha256(content).hexdigest()]
