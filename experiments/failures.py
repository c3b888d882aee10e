"""What failed while a table was made, in a line that a person can act on. A traceback goes to a file."""

import contextlib
import errno
import importlib
import os
import re
import shutil
import traceback
from pathlib import Path

from keras_uq.files import gibibytes, write_text

# Folder of tracebacks, below the folder of results.
LOGS = ".logs"
# Characters of the message of an error that is not ours.
LONGEST = 300
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
NO_FOLDER = (errno.ENOTDIR, errno.EEXIST)


def explained(error, folder, results=None):
    """What an exception means, as text.

    Args:
        error: The exception.
        folder: What was being written when it was raised.
        results: Folder of results, below which the traceback is kept if the error is neither ours nor one of the disk;
            `None` keeps none.
    """
    if isinstance(error, OSError):
        return _of_disk(error, Path(folder))
    if isinstance(error, ValueError):
        return str(error)
    log = results and _keep_traceback(error, Path(results), Path(folder))
    text = f"{type(error).__name__}: {_short(str(error))}"
    return f"{text.rstrip('.')}. The traceback is in {log}." if log else text


def forget(results, folder):
    """Remove the traceback that an earlier failure in this folder left."""
    log = _log(Path(results), Path(folder))
    with contextlib.suppress(OSError):
        log.unlink()
        log.parent.rmdir()


def last_line(error):
    """Type, message and place of an exception that a user's module raised where this process called it."""
    text = _short("".join(traceback.format_exception_only(error)).strip().splitlines()[-1])
    if isinstance(error, SyntaxError):
        return f"{text} in {error.filename}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_import(frame.filename)]
    return f"{text} in {frames[-1].filename}, line {frames[-1].lineno}" if len(frames) > 1 else text


def _is_import(file):
    """Whether a file is Python's own, of the import of a module."""
    return file.startswith("<frozen") or Path(file).parent == Path(importlib.__file__).parent


def _of_disk(error, folder):
    """The file of an `OSError`; where there is no room, how much is free."""
    # Of two files, such as those of a copy, the second is the one that is written.
    named = error.filename2 or error.filename
    path = Path(os.fsdecode(named)) if isinstance(named, (str, bytes, os.PathLike)) else folder
    reason = error.strerror or str(error)
    if error.errno and "\n" in reason:  # HDF5 writes a page.
        reason = os.strerror(error.errno)
    reason = _short(reason)
    text = f"{path}: {reason[:1].lower()}{reason[1:]}."
    unknown = error.errno is None and type(error) is OSError  # NumPy and HDF5 do not say why they could not write.
    if unknown or error.errno in FULL or "No space left" in str(error):
        free = gibibytes(shutil.disk_usage(_existing(path)).free)
        return f"{text} {free} are free there. Make room and run the same command again: it resumes."
    if error.errno in FORBIDDEN:
        return f"{text} Choose folders that can be written: --results, and KERAS_UQ_CACHE for prepared data."
    if error.errno in NO_FOLDER:
        return f"{text} A folder is needed in this place, and a file is there."
    return text


def _existing(path):
    """The path, or the nearest folder above it that exists."""
    return next((place for place in (path, *path.absolute().parents) if place.exists()), Path("/"))


def _keep_traceback(error, results, folder):
    log = _log(results, folder)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        write_text(log, "".join(traceback.format_exception(error)))
    except OSError:
        return None
    return log


def _log(results, folder):
    return results / LOGS / ("-".join(folder.parts[-3:]) + ".log")


def _short(text):
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
