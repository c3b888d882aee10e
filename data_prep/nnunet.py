"""Read a raw dataset of nnU-Net v2 (Isensee et al., 2021), the layout of many private collections."""

import os
from pathlib import Path

from data_prep.alignment import stacked
from data_prep.archive import Archive, BadDataset, Case, digest_of, natural
from data_prep.decathlon import case_name, find_task
from keras_uq._kinds import Anything, Mapping, Text, shown
from keras_uq.files import BadFile, check, read, sha256
from keras_uq.preprocessing import Scan, read_nifti

FIELDS = {"channel_names": Mapping(Text()), "labels": Mapping(Anything()), "file_ending": Text()}
LAYOUT = "imagesTr/<case>_0000.nii.gz (one for each channel) and labelsTr/<case>.nii.gz"


def is_nnunet(folder: str | os.PathLike) -> bool:
    """Whether a folder contains a description with `channel_names`, as nnU-Net v2 writes it."""
    try:
        content = read(find_task(folder) / "dataset.json")
    except (BadDataset, BadFile, OSError):
        return False
    return isinstance(content, dict) and "channel_names" in content and "training" not in content


def open_archive(folder: str | os.PathLike) -> Archive:
    """Open the training cases. The channels of a case are stacked in their order.

    Raises:
        BadDataset: If `dataset.json` has another form, has regions or an ignore label, or a case lacks a channel.
    """
    folder = find_task(folder)
    source = f"{folder.name}/dataset.json"
    try:
        content = check(read(folder / "dataset.json"), FIELDS, source, others=True)
    except BadFile as error:
        raise BadDataset(f"{error} Expected the dataset.json of nnU-Net v2.") from error
    ending, channels = content["file_ending"], len(content["channel_names"])
    if ending not in (".nii.gz", ".nii"):
        raise BadDataset(f"{source}: files that end in {shown(ending)} cannot be read. Convert them to .nii.gz.")
    labels = {}
    for name, value in content["labels"].items():
        if isinstance(value, bool) or not isinstance(value, int) or name == "ignore" or value in labels:
            raise BadDataset(
                f"{source}: expected `labels` with one number for each class. Regions, which have several, and an "
                f"ignore label are not supported. Received: {shown(content['labels'])}."
            )
        labels[value] = name
    if 0 not in labels or len(labels) < 2:
        raise BadDataset(f"{source}: expected `labels` with 0 for background and a class. Received: {shown(labels)}.")
    cases = []
    for label in sorted((folder / "labelsTr").glob(f"[!.]*{ending}")):
        name = case_name(label.name, source)
        missing = [path.name for path in _channels(folder, name, ending, channels) if not path.is_file()]
        if missing:
            raise BadDataset(f"{source}: {name} has no imagesTr/{missing[0]}. Expected: {LAYOUT}.")
        cases.append(Case(name, _channels(folder, name, ending, 1)[0], label))
    if not cases:
        raise BadDataset(f"{folder.name} holds no training case. Expected: {LAYOUT}.")
    cases = tuple(sorted(cases, key=lambda case: natural(case.name)))
    modality = next(iter(content["channel_names"].values()), "unknown")
    digest = digest_of([sha256(folder / "dataset.json"), *(case.name for case in cases)])

    def read_image(path: Path) -> Scan:
        name = path.name.removesuffix(f"_0000{ending}")
        paths = _channels(folder, name, ending, channels)
        return stacked([read_nifti(channel) for channel in paths], [channel.name for channel in paths])

    return Archive(folder.name, cases, labels, modality, digest, read_image=read_image)


def _channels(folder, name, ending, channels):
    return [folder / "imagesTr" / f"{name}_{channel:04d}{ending}" for channel in range(channels)]
