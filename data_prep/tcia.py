"""Download collections of The Cancer Imaging Archive, one series at a time, through its public REST interface."""

import os
import zipfile
from pathlib import Path

from data_prep.extract import HostileArchive, extract
from data_prep.transfer import DownloadError, fetch
from keras_uq._kinds import Integer, Maybe, Text
from keras_uq.files import check, parse

# What is used of the server's description of a series. Patients and series become folders here, so their names hold
# neither separators nor leading dots.
PATIENT = Text(64, r"[A-Za-z0-9]([A-Za-z0-9 ._-]*[A-Za-z0-9_-])?", "a name of letters, digits, spaces and ._-")
UID = Text(64, r"[0-9]+(\.[0-9]+)*", "numbers joined by dots")
FIELDS = {"PatientID": PATIENT, "SeriesInstanceUID": UID, "ImageCount": Integer(1), "SeriesDescription": Maybe(Text())}

BASE = "https://services.cancerimagingarchive.net/nbia-api/services/v1"


def list_series(collection: str, description: str | None = None, base: str = BASE, timeout: float = 60) -> list[dict]:
    """List the series of a collection.

    Args:
        collection: Name of the collection in the archive, such as `"Pancreas-CT"`.
        description: If given, list only series with this text in their description (upper or lower case).
        base: Address of the interface.
        timeout: Seconds to wait for an answer before giving up.

    Returns:
        The series, sorted by patient: dictionaries with `PatientID`, `SeriesInstanceUID`, `ImageCount` and, where the
        server knows it, `SeriesDescription`.

    Raises:
        DownloadError: If the server does not answer, lists no series, or lists something else.
    """
    import requests

    try:
        response = requests.get(
            f"{base}/getSeries", params={"Collection": collection, "format": "json"}, timeout=timeout
        )
        response.raise_for_status()
        entries = parse(response.content, "its answer")
        if not isinstance(entries, list):
            raise ValueError("its answer is no list")
        entries = [_checked(entry, base) for entry in entries]
    except (requests.exceptions.RequestException, ValueError) as error:
        raise DownloadError(f"{base} did not list the series of {collection} ({error}). Try later.") from error
    wanted = (description or "").lower()
    series = [entry for entry in entries if wanted in (entry.get("SeriesDescription") or "").lower()]
    if not series:
        raise DownloadError(f"{collection} has no series{f' described as {description}' if description else ''}.")
    return sorted(series, key=lambda entry: (entry["PatientID"], entry["SeriesInstanceUID"]))


def fetch_series(
    entry: dict, folder: str | os.PathLike, base: str = BASE, progress: bool = True, timeout: float = 60
) -> Path:
    """Download and unpack one series unless it is already there. The folder appears only when it is complete.

    Args:
        entry: One dictionary of `list_series`.
        folder: The series goes to `<folder>/<PatientID>/<SeriesInstanceUID>/`.
        base: Address of the interface.
        progress: Whether to show a progress bar.
        timeout: Seconds to wait for an answer before giving up.

    Returns:
        The folder of the series.

    Raises:
        ValueError: If the entry is no description of a series.
        DownloadError: If the transfer breaks, the zip is damaged, or the number of images is not the listed one.
            The archive publishes no checksums, but each file in the zip has one. A damaged zip is deleted.
        HostileArchive: If the zip is unsafe to unpack (see `extract`).
    """
    entry = _checked(entry, "The series to fetch")
    uid = entry["SeriesInstanceUID"]
    target = Path(folder) / entry["PatientID"] / uid
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    url = f"{base}/getImage?SeriesInstanceUID={uid}"
    packed = fetch(url, None, target.parent, f"{uid}.zip", progress, timeout)
    images = 0
    try:
        with zipfile.ZipFile(packed) as archive:
            images = sum(name.lower().endswith(".dcm") for name in archive.namelist())
        if images == entry["ImageCount"]:
            extract(packed, target)
    except HostileArchive:
        raise
    except (zipfile.BadZipFile, ValueError) as error:
        if isinstance(error.__cause__, OSError):  # The disk is full, for instance: the zip is whole.
            raise
        packed.unlink()
        raise DownloadError(
            f"The zip of series {uid} is damaged ({error}). It was deleted; run the download again."
        ) from error
    packed.unlink()
    if images != entry["ImageCount"]:
        raise DownloadError(
            f"The series {uid} of {entry['PatientID']} is not complete: it has {images} images instead of "
            f"{entry['ImageCount']}. It was deleted; run the download again."
        )
    return target


def fetch_collection(
    collection: str,
    folder: str | os.PathLike,
    description: str | None = None,
    base: str = BASE,
    progress: bool = True,
) -> list[Path]:
    """Download every series of a collection that is not there yet.

    Arguments and errors are those of `list_series` and `fetch_series`.

    Returns:
        The folders of the series.
    """
    series = list_series(collection, description, base)
    folders = []
    for number, entry in enumerate(series, start=1):
        if progress:
            print(f"{number} of {len(series)}: {entry['PatientID']}", flush=True)
        folders.append(fetch_series(entry, folder, base, progress))
    return folders


def _checked(entry, source):
    """The fields that are used of a series, each of its kind. Text of a server must not choose where files go."""
    return check(entry, FIELDS, source, optional=("SeriesDescription",), others=True)
