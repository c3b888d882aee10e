"""Download one file: with a checksum, resuming what was interrupted, with a progress bar."""

import os
import re
import shutil
from pathlib import Path

# Bytes read at a time. An interrupted transfer loses less than this.
CHUNK = 2**16


class DownloadError(ValueError):
    """A download that failed. The message says what to do; received bytes are kept for the next attempt."""


def fetch(
    url: str,
    checksum: str | None,
    folder: str | os.PathLike,
    name: str | None = None,
    progress: bool = True,
    timeout: float = 60,
) -> Path:
    """Download a file unless it is already there.

    pooch checks the file and moves it into place. An interrupted transfer resumes where it stopped if the server
    supports ranges.

    Args:
        url: Address of the file.
        checksum: `"md5:..."` or `"sha256:..."`; `None` if the owner publishes none, in which case nothing is checked.
        folder: Folder for the file; it is created if it does not exist.
        name: File name to use; by default the last part of the URL.
        progress: Whether to show a progress bar.
        timeout: Seconds to wait for an answer before giving up.

    Returns:
        Path of the file. Its checksum has been verified if one was given.

    Raises:
        DownloadError: For an HTTP error, a broken connection, a folder that cannot be written, or a wrong checksum (the
            file is then deleted).
    """
    import pooch
    import requests

    folder = Path(folder)
    name = name or url.rsplit("/", 1)[-1]
    if not re.fullmatch(r"[A-Za-z0-9_][\w .+()-]{0,199}", name):
        raise DownloadError(f"{url} does not end in a plain file name. Received: {name[:80]!r}. Give `name`.")
    unfinished = folder / f"{name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = pooch.retrieve(
            url, known_hash=checksum, fname=name, path=folder, downloader=_Resuming(unfinished, progress, timeout)
        )
    except requests.exceptions.HTTPError as error:
        raise DownloadError(f"{url} answered {error.response.status_code}. Check the address or try later.") from error
    except requests.exceptions.RequestException as error:
        raise DownloadError(
            f"The download of {name} broke off ({error.__class__.__name__}). Run it again to go on where it stopped."
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{name} cannot be written to {folder} ({error.strerror or error}). Make room there, or choose another "
            "folder, and run the download again."
        ) from error
    except ValueError as error:
        unfinished.unlink(missing_ok=True)
        raise DownloadError(
            f"{name} does not have the checksum {checksum}: it is damaged or has changed. It was deleted; run the "
            f"download again."
        ) from error
    unfinished.unlink(missing_ok=True)
    return Path(path)


class _Resuming:
    """A pooch downloader that keeps received bytes and requests only the missing ones."""

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
            if response.status_code == 416:  # The server has no bytes left to send.
                shutil.copyfile(self.unfinished, output_file)
                return
            response.raise_for_status()
            if response.status_code != 206:
                have = 0  # The server ignores ranges and sends the whole file again.
            length = response.headers.get("Content-Length", "")
            total = have + int(length) if re.fullmatch("[0-9]{1,18}", length) else None
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
