"""Fetch an official archive: checked, resumable, with a progress bar.

python -m data_prep.download Task09_Spleen --to <folder>
python -m data_prep.download isic2018 --to <folder>
"""

import argparse
import shutil
import sys
from pathlib import Path

from data_prep import acdc, pancreas_ct, prostate
from data_prep.decathlon import TASKS
from data_prep.extract import extract
from data_prep.pictures import FILES

# What is lost of a broken transfer.
CHUNK = 2**16
# Image collections of The Cancer Imaging Archive: name there, and what their series are described as.
COLLECTIONS = {"pancreas_ct": (pancreas_ct.COLLECTION, None), "prostatex": ("PROSTATEx", prostate.AXIAL)}
# Files whose address does not end in their name.
NAMES = {acdc.URL: "ACDC.zip", prostate.PROMISE12_URL: "training_data.zip"}


class DownloadError(ValueError):
    """A download that did not end well. The message says what to do; what was received is kept for the next try."""


def fetch(url, checksum, folder, name=None, progress=True, timeout=60):
    """Download a file unless it is there already.

    pooch checks the file and moves it into place; an interrupted transfer goes on where it stopped, if the server can.

    Args:
        url: Of the file.
        checksum: `"md5:..."` or `"sha256:..."`; `None` if its owner publishes none, then nothing is checked.
        folder: Where the file goes.
        name: Its name; the last part of the URL by default.
        progress: Whether to show a bar.
        timeout: Seconds without an answer after which to give up.

    Returns:
        Path of the file, whose checksum is right.

    Raises:
        DownloadError: For an HTTP error, a broken connection, or a wrong checksum (the file is then deleted).
    """
    import pooch
    import requests

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    name = name or url.rsplit("/", 1)[-1]
    unfinished = folder / f"{name}.part"
    try:
        path = pooch.retrieve(
            url, known_hash=checksum, fname=name, path=folder, downloader=_Resuming(unfinished, progress, timeout)
        )
    except requests.exceptions.HTTPError as error:
        raise DownloadError(f"{url} answered {error.response.status_code}. Check the address or try later.") from error
    except requests.exceptions.RequestException as error:
        raise DownloadError(
            f"The download of {name} broke off ({error.__class__.__name__}). Run it again to go on where it stopped."
        ) from error
    except ValueError as error:
        unfinished.unlink(missing_ok=True)
        raise DownloadError(
            f"{name} has not the checksum {checksum}: it is damaged or has changed. It was deleted; run it again."
        ) from error
    unfinished.unlink(missing_ok=True)
    return Path(path)


class _Resuming:
    """A pooch downloader that keeps what it received and asks for the rest only."""

    def __init__(self, unfinished, progress, timeout):
        self.unfinished = unfinished
        self.progress = progress
        self.timeout = timeout

    def __call__(self, url, output_file, pooch):
        import requests
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        have = self.unfinished.stat().st_size if self.unfinished.exists() else 0
        headers = (
            {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {"Accept-Encoding": "identity"}
        )
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
            if response.status_code == 416:  # Nothing is left to send.
                shutil.copyfile(self.unfinished, output_file)
                return
            response.raise_for_status()
            if response.status_code != 206:
                have = 0  # The server sends everything again.
            length = response.headers.get("Content-Length")
            total = None if length is None else have + int(length)
            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            with (
                Progress(*columns, disable=not self.progress) as bar,
                open(self.unfinished, "ab" if have else "wb") as file,
            ):
                task = bar.add_task(self.unfinished.stem, total=total, completed=have)
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    bar.advance(task, len(chunk))
            received = self.unfinished.stat().st_size
            if total is not None and received != total:
                raise requests.exceptions.ConnectionError(f"received {received} of {total} bytes")
        shutil.copyfile(self.unfinished, output_file)


def archives():
    """`{dataset: [(URL, checksum)]}` of everything that may be fetched without a login."""
    found = {task.name: [(task.url, f"md5:{task.md5}")] for task in TASKS.values()}
    for collection, url, checksum in FILES.values():
        if url is None:
            continue
        found.setdefault(collection, []).append((url, checksum))
    # ACDC is zipped anew for every download, so its checksum says nothing.
    found["acdc"] = [(acdc.URL, None)]
    found["pancreas_ct"] = [(pancreas_ct.LABELS_URL, f"sha256:{pancreas_ct.LABELS_SHA256}")]
    found["prostatex"] = []
    found["promise12"] = [(prostate.PROMISE12_URL, f"sha256:{prostate.PROMISE12_SHA256}")]
    return found


def main(arguments=None):
    """Download the archives of one known dataset. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.download", description=__doc__.splitlines()[0])
    parser.add_argument(
        "dataset",
        choices=sorted(archives()),
        help="a task of the Medical Segmentation Decathlon (CC BY-SA 4.0), dsb2018 (CC0), pancreas_ct and prostatex "
        "(CC BY 3.0, of prostatex the images alone); isic2018, acdc and promise12 have terms of their own",
    )
    parser.add_argument("--to", required=True, help="folder for the archive; use its parent as DATA")
    options = parser.parse_args(arguments)
    try:
        for url, checksum in archives()[options.dataset]:
            if checksum is None:
                print(f"{url.rpartition('/')[2]}: no checksum is published, so none is compared.")
            print(fetch(url, checksum, options.to, NAMES.get(url)))
        if options.dataset in COLLECTIONS:
            _fetch_collection(options.dataset, Path(options.to))
    except DownloadError as error:
        print(f"{error}", file=sys.stderr)
        return 2
    return 0


def _fetch_collection(dataset, folder):
    """Series of a collection, and what was downloaded beside them unpacked."""
    from data_prep.tcia import fetch_collection

    collection, description = COLLECTIONS[dataset]
    for packed in sorted(folder.glob("*.zip")):
        if not (folder / packed.stem).exists():
            extract(packed, folder / packed.stem)
    found = fetch_collection(collection, folder / collection, description)
    print(f"{len(found)} series: {folder / collection}")


if __name__ == "__main__":
    sys.exit(main())
