"""Fetch an official archive: checked, resumable, with a progress bar.

python -m data_prep.download Task09_Spleen --to <folder>
"""

import argparse
import shutil
import sys
from pathlib import Path

from data_prep.decathlon import TASKS

# What is lost of a broken transfer.
CHUNK = 2**16


class DownloadError(ValueError):
    """A download that did not end well. The message says what to do; what was received is kept for the next try."""


def fetch(url, checksum, folder, name=None, progress=True, timeout=60):
    """Download a file unless it is there already.

    pooch checks the file and moves it into place; an interrupted transfer goes on where it stopped, if the server can.

    Args:
        url: Of the file.
        checksum: `"md5:..."` or `"sha256:..."`.
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


def main(arguments=None):
    """Download one known archive. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.download", description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS, help="a task of the Medical Segmentation Decathlon (CC BY-SA 4.0)")
    parser.add_argument("--to", required=True, help="folder for the archive; use its parent as DATA")
    options = parser.parse_args(arguments)
    task = TASKS[options.task]
    try:
        print(fetch(task.url, f"md5:{task.md5}", options.to))
    except DownloadError as error:
        print(f"{error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
