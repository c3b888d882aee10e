"""Write files whole: under a temporary name that no other process has, then renamed."""

import contextlib
import errno
import os
import platform
import re
import time
from collections.abc import Iterator
from pathlib import Path

PREFIX = ".keras-uq-"
# Files that another machine left are swept when they are this old, in seconds.
OLD = 24 * 3600


def process_name() -> str:
    """Return a name that no other process has, on this host or another: host, process number, a random part."""
    host = re.sub(r"[^\w.-]", "_", platform.node())[:64] or "host"
    return f"{host}-{os.getpid()}-{os.urandom(3).hex()}"


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path in the same folder; afterwards it takes the place of `path`.

    If the block fails, on a full disk for example, the temporary file is removed and `path` stays as it was; an
    `OSError` that names no file, or the temporary one, then names `path`. The temporary name ends like `path`, since
    some libraries choose the format by the ending.
    """
    path = Path(path)
    ending = "".join(path.suffixes[-2:]) if path.name.endswith((".gz", ".weights.h5")) else path.suffix
    temporary = path.with_name(f"{PREFIX}{process_name()}{ending}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(temporary), temporary):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def naming(path: str | os.PathLike) -> Iterator[None]:
    """Let every `OSError` of the block name the file that was being written, also on a full disk.

    NumPy says there only how many items were written.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or (errno.ENOSPC if "requested and" in str(error) else errno.EIO)
        raise OSError(number, error.strerror or os.strerror(number), os.fspath(path)) from error


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all. Line ends stay as they are."""
    with naming(path), replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def sweep(folder: str | os.PathLike) -> None:
    """Remove temporary files that killed processes left in a folder. Those of running processes stay."""
    with contextlib.suppress(OSError):
        for path in Path(folder).iterdir():
            match = re.fullmatch(re.escape(PREFIX) + r"(.+)-(\d+)-[0-9a-f]{6}(\.[\w.]*)?", path.name)
            if match and path.is_file() and _is_left(path, match[1], int(match[2])):
                path.unlink(missing_ok=True)


def _is_left(path, host, process):
    if process_name().rsplit("-", 2)[0] == host and os.name == "posix":
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False
    return time.time() - path.stat().st_mtime > OLD
