"""Download collections of The Cancer Imaging Archive, one series at a time, through its public REST interface."""

import os
import zipfile
from pathlib import Path

from data_prep.extract import extract
from data_prep.transfer import DownloadError, fetch
from keras_uq._kinds import Integer, Maybe, Text, shown
from keras_uq.files import BadFile, check, parse

# Fields of a series that are used. The first two become names of folders.
ENTRY = {
    "PatientID": Text(64, r"[A-Za-z0-9][A-Za-z0-9_.-]*", "a plain name"),
    "SeriesInstanceUID": Text(64, r"[0-9]+(\.[0-9]+)*", "numbers with dots between them"),
    "ImageCount": Integer(least=1, most=100_000),
    "SeriesDescription": Maybe(Text()),
}
OPTIONAL = ("SeriesDescription",)
BASE = "https://services.cancerimagingarchive.net/nbia-api/services/v1"


def list_series(collection: str, description: str | None = None, base: str = BASE, timeout: float = 60) -> list[dict]:
    """List the series of a collection: dictionaries with `PatientID`, `SeriesInstanceUID` and `ImageCount`.

    Args:
        collection: Name of the collection in the archive, such as `"Pancreas-CT"`.
        description: If given, list only series with this text in their description (upper or lower case).
        base: Address of the interface.
        timeout: Seconds to wait for an answer before giving up.

    Returns:
        The series, sorted by patient.

    Raises:
        DownloadError: If the server does not answer, or lists no series.
    """
    import requests

    try:
        response = requests.get(
            f"{base}/getSeries", params={"Collection": collection, "format": "json"}, timeout=timeout
        )
        response.raise_for_status()
        source = f"The answer of {base}"
        entries = [
            check(entry, ENTRY, source, OPTIONAL, others=True) for entry in _list(parse(response.content, source))
        ]
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
        DownloadError: If the transfer breaks, the zip is damaged, or the number of images is not the listed one.
            The archive publishes no checksums, but each file in the zip has one. A damaged zip is deleted.
        HostileArchive: If the zip is unsafe to unpack (see `extract`).
    """
    uid = entry["SeriesInstanceUID"]
    target = Path(folder) / entry["PatientID"] / uid
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    url = f"{base}/getImage?SeriesInstanceUID={uid}"
    packed = fetch(url, None, target.parent, f"{uid}.zip", progress, timeout)
    try:
        with zipfile.ZipFile(packed) as archive:
            damaged = archive.testzip()
            images = sum(name.lower().endswith(".dcm") for name in archive.namelist())
    except zipfile.BadZipFile as error:
        packed.unlink()
        raise DownloadError(
            f"The zip of series {uid} is damaged ({error}). It was deleted; run the download again."
        ) from error
    if damaged is not None or images != entry["ImageCount"]:
        packed.unlink()
        reason = f"{damaged} is damaged" if damaged else f"it has {images} images instead of {entry['ImageCount']}"
        raise DownloadError(
            f"The series {uid} of {entry['PatientID']} is not complete: {reason}. It was deleted; run the download "
            f"again."
        )
    extract(packed, target)
    packed.unlink()
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


def _list(value):
    if not isinstance(value, list):
        raise BadFile(f"expected a list of series, received {shown(value)}")
    return value
