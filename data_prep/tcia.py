"""Collections of The Cancer Imaging Archive, series by series through its public REST interface."""

import zipfile
from pathlib import Path

from data_prep.download import DownloadError, fetch
from data_prep.extract import extract

BASE = "https://services.cancerimagingarchive.net/nbia-api/services/v1"


def list_series(collection, description=None, base=BASE, timeout=60):
    """The series of a collection, dictionaries with `PatientID`, `SeriesInstanceUID`, `ImageCount`, by patient.

    Args:
        collection: Its name there, such as `"Pancreas-CT"`.
        description: Only series whose description holds this, whatever its case.
        base: Address of the interface.
        timeout: Seconds without an answer after which to give up.

    Raises:
        DownloadError: If there is no answer, or none of series.
    """
    import requests

    try:
        response = requests.get(
            f"{base}/getSeries", params={"Collection": collection, "format": "json"}, timeout=timeout
        )
        response.raise_for_status()
        found = response.json()
    except (requests.exceptions.RequestException, ValueError) as error:
        raise DownloadError(f"{base} did not list the series of {collection} ({error}). Try later.") from error
    wanted = (description or "").lower()
    series = [entry for entry in found if wanted in entry.get("SeriesDescription", "").lower()]
    if not series:
        raise DownloadError(f"{collection} has no series{f' described as {description}' if description else ''}.")
    return sorted(series, key=lambda entry: (entry["PatientID"], entry["SeriesInstanceUID"]))


def fetch_series(entry, folder, base=BASE, progress=True, timeout=60):
    """Download and unpack one series unless it is there; it appears whole or not at all.

    Args:
        entry: As `list_series` gives it.
        folder: The series goes to `<folder>/<PatientID>/<SeriesInstanceUID>/`.
        base: Address of the interface.
        progress: Whether to show a bar.
        timeout: Seconds without an answer after which to give up.

    Returns:
        The series' folder.

    Raises:
        DownloadError: If the transfer breaks, the zip is damaged, or it holds another number of images than listed.
            (The archive publishes no checksums; each file in the zip has one.) What is damaged is deleted.
        HostileArchive: If the zip tries something no series needs.
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
        raise DownloadError(f"The series {uid} came damaged ({error}). It was deleted; run it again.") from error
    if damaged is not None or images != int(entry["ImageCount"]):
        packed.unlink()
        what = f"{damaged} is damaged" if damaged else f"{images} images came for {entry['ImageCount']}"
        raise DownloadError(f"The series {uid} of {entry['PatientID']} is not whole: {what}. Run it again.")
    extract(packed, target)
    packed.unlink()
    return target


def fetch_collection(collection, folder, description=None, base=BASE, progress=True):
    """Every series of a collection that is not there yet. Returns their folders; errors as in `fetch_series`."""
    series = list_series(collection, description, base)
    found = []
    for number, entry in enumerate(series, start=1):
        if progress:
            print(f"{number} of {len(series)}: {entry['PatientID']}", flush=True)
        found.append(fetch_series(entry, folder, base, progress))
    return found
