"""Read prostates on T2-weighted MRI: PROSTATEx with the masks of 40 or more patients, and PROMISE12."""

import os
import re
from pathlib import Path

import numpy as np

from data_prep import itk
from data_prep.archive import Archive, BadDataset, Case, digest_of, natural, seeded_split
from keras_uq.preprocessing import BadScan, Scan

LABELS = {0: "background", 1: "prostate"}
PROSTATEX = (
    "Download the axial T2 series of PROSTATEx (t2_tse_tra, CC BY 3.0, no login, all 346 patients): python -m "
    "data_prep.download prostatex --to <folder>. The masks have to be fetched by hand: those of Meyer et al. "
    "(ISBI 2018, 40 patients, http://isgwww.cs.uni-magdeburg.de/cas/isbi2018/) or PROSTATEx-Seg-HiRes "
    "(https://doi.org/10.7937/TCIA.2019.DEG7ZG1U, DICOM SEG). Put both anywhere below the folder: every path has to "
    "contain its patient's name, such as ProstateX-0004."
)
PROMISE12 = (
    "Download training_data.zip of PROMISE12 from https://zenodo.org/records/8026660 (free for research, citation of "
    "Litjens et al. 2014 mandatory), or: python -m data_prep.download promise12 --to <folder>. Expected somewhere "
    "below: Case00.mhd, Case00.raw, Case00_segmentation.mhd, Case00_segmentation.raw, ..."
)
PROMISE12_URL = "https://zenodo.org/records/8026660/files/training_data.zip?download=1"
PROMISE12_SHA256 = "150287d0c74cd0105d8b70b43af4a7bf4f1fd3e1748829779177a0ccaf948f45"
PATIENT = re.compile(r"ProstateX-(\d{4})", re.IGNORECASE)
AXIAL = "t2_tse_tra"
MASKS = (".nrrd", ".nii", ".nii.gz", ".mhd", ".mha")
# Mehrtash et al. (2020), Table I, use 16, 4 and 20 of 40 patients.
TEST, VALIDATION = 0.5, 0.2


def is_prostatex(folder: str | os.PathLike) -> bool:
    """Whether a folder contains files of this collection, judged by the patient names in their paths."""
    return any(PATIENT.search(str(path.relative_to(folder))) for path in Path(folder).rglob("*") if path.is_file())


def open_prostatex(folder: str | os.PathLike) -> Archive:
    """Open all patients with an axial T2 series and a mask.

    A mask is a file (`.nrrd`, `.nii.gz`, `.mhd`) or a DICOM SEG. Its grid is not that of the series, so it is resampled
    in physical space. If a patient has several series, the one that covers most of the mask is used. A patient with a
    mask and files that cannot be read is a case too, and reading it raises the error.

    Raises:
        BadDataset: If no patient has both.
    """
    files = {}
    for path in sorted(Path(folder).rglob("*")):
        numbers = PATIENT.findall(str(path.relative_to(folder)))
        if path.is_file() and numbers and not path.name.startswith("."):
            files.setdefault(f"ProstateX-{numbers[-1]}", []).append(path)
    cases, series_of = [], {}
    for patient, paths in sorted(files.items()):
        masks, axial = _sort(paths)
        if masks and axial:
            series_of[masks[0]] = axial
            cases.append(Case(patient, masks[0], masks[0]))
    if not cases:
        raise BadDataset(f"{Path(folder).name} holds no patient with both a series and a mask. {PROSTATEX}")

    def read_series(mask):
        return _best(series_of[mask], lambda: itk.read_image(mask))

    def read_label(mask):
        label = itk.read_image(mask)
        return _as_label(itk.to_scan(itk.resample_label(label, _best(series_of[mask], lambda: label))), mask)

    digest = digest_of(case.name for case in cases)
    return Archive(
        "PROSTATEx",
        tuple(cases),
        LABELS,
        "MRI",
        digest,
        read_image=lambda mask: itk.to_scan(read_series(mask)),
        read_label=read_label,
        read_geometry=lambda mask: _geometry(read_series(mask)),
        splits={"patients": seeded_split(TEST, VALIDATION)},
    )


def is_promise12(folder: str | os.PathLike) -> bool:
    """Whether a folder contains this archive, judged by the file names of its segmentations."""
    return any(Path(folder).rglob("Case[0-9][0-9]_segmentation.mhd"))


def open_promise12(folder: str | os.PathLike) -> Archive:
    """Open all cases with a segmentation.

    The numbers start again in the test part. A case whose number occurs twice therefore has the folder in its name.

    Raises:
        BadDataset: If a segmentation has no image.
    """
    labels = sorted(Path(folder).rglob("Case[0-9][0-9]_segmentation.mhd"), key=lambda path: natural(str(path)))
    names = [path.name.partition("_")[0] for path in labels]
    cases = []
    for name, label in zip(names, labels):
        image = label.with_name(f"{name}.mhd")
        if not image.is_file():
            raise BadDataset(f"{label.name} has no {image.name} beside it. {PROMISE12}")
        cases.append(Case(name if names.count(name) == 1 else f"{label.parent.name}-{name}", image, label))
    digest = digest_of(case.name for case in cases)
    return Archive(
        "PROMISE12",
        tuple(cases),
        LABELS,
        "MRI",
        digest,
        read_image=lambda path: itk.to_scan(itk.read_image(path)),
        read_label=lambda path: _as_label(itk.to_scan(itk.read_image(path)), path),
        read_geometry=lambda path: _geometry(itk.read_image(path)),
    )


def _sort(paths):
    """Return the masks of one patient, and the files of each axial T2 series (or the error met on the way to them)."""
    masks = [path for path in paths if path.name.endswith(MASKS)]
    modalities, errors = _modalities([path for path in paths if not path.name.endswith((*MASKS, ".raw"))])
    masks += [path for path, modality in modalities.items() if modality == ["SEG"]]
    series = []
    try:
        for folder in sorted({path.parent for path, modality in modalities.items() if modality == ["MR"]}):
            series += _axial(folder)
    except BadScan as error:
        errors.append(error)
    return masks, errors[0] if errors else series


def _modalities(paths):
    """Return `{file: modality}` and the errors of files that cannot be read. They are asked for together, for speed."""
    try:
        return dict(zip(paths, itk.read_all_tags(paths, (itk.MODALITY,)) if paths else [], strict=True)), []
    except BadScan as error:
        if len(paths) == 1:
            return {}, [error]
    (first, first_errors), (second, errors) = (_modalities(part) for part in (paths[::2], paths[1::2]))
    return first | second, first_errors + errors


def _axial(folder):
    """Yield the files of each axial T2 series of a folder."""
    for files in itk.list_series(folder).values():
        description = (itk.read_tags(files[0], (itk.DESCRIPTION,)) or [""])[0]
        if AXIAL in description.lower().replace(" ", "_"):
            yield files


def _best(series, read_label):
    """Return the only series, or the one that covers most of the label, as an ITK image."""
    if isinstance(series, BadScan):
        raise BadScan(series.code, str(series))
    images = [itk.read_series(files) for files in series]
    if len(images) == 1:
        return images[0]
    label = read_label()
    return max(images, key=lambda image: itk.overlap(label, image))


def _as_label(scan, path):
    values = np.unique(scan.voxels)
    if not np.isfinite(values).all():
        raise BadScan("label_not_finite", f"{path.name} holds NaN or infinity.")
    if np.abs(values - np.rint(values)).max() > 1e-3:
        raise BadScan("label_not_integer", f"{path.name} holds {values[:5].tolist()}; expected whole numbers.")
    if values.min() < 0 or np.count_nonzero(values) > 1:
        raise BadScan("unknown_label", f"{path.name} holds {values[:5].tolist()}; expected one structure on 0.")
    return Scan((scan.voxels > 0).astype("uint8"), scan.affine, scan.zooms, scan.header)


def _geometry(image):
    scan = itk.to_scan(image)
    return scan.voxels.shape, scan.affine
