"""Ask the process that parses DICOM (`dicom_worker`), with a limit on its time and its memory.

A damaged or malicious file can hang the parser, let it take all memory, or crash it. All this happens in a process of
its own, which is started with the first request, answers all further ones, and is started again after it was killed.
"""

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.dicom_syntax import check_syntax
from keras_uq.files import gibibytes, max_memory
from keras_uq.preprocessing import BadScan

# A request may take this many seconds, and one more for as many bytes of its files (a slow network disk reads them).
SECONDS = 60
BYTES_PER_SECOND = 2**20
# Whether the system itself ends the process in time; Windows does not.
TIMED = hasattr(signal, "setitimer")
WORKER = Path(__file__).with_name("dicom_worker.py")


class _Worker:
    """The running process, and what was noted when it was started."""

    def __init__(self, limit):
        self.limit = limit
        self.owner = os.getpid()
        # The worker finds SimpleITK where this process does. `-P` keeps the folder of the worker out of its path, whose
        # modules have names of others.
        paths = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), str(limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths},
        )

    def serves(self, limit):
        """Whether it belongs to this process and not to its parent, has this limit, and still runs."""
        return self.owner == os.getpid() and self.limit == limit and self.process.poll() is None

    def end(self):
        if self.owner == os.getpid():
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):  # What a killed process has not read is lost.
                pipe.close()


_lock = threading.Lock()
_worker: _Worker | None = None
_warned = False


def ask(action: str, name: str, paths: Sequence[str | os.PathLike], **arguments: Any) -> tuple[Any, np.ndarray | None]:
    """Send one request.

    Args:
        action: `"list"`, `"tags"` or `"volume"` (see `dicom_worker`).
        name: What errors name.
        paths: Files that will be parsed. They decide how much time there is.
        **arguments: Further arguments of the action.

    Returns:
        The value of the reply, and its voxels `(z, y, x)` for a volume.

    Raises:
        BadScan: With the code `unreadable`, if the parser refuses a file, takes too long, takes more memory than
            `keras_uq.files.max_memory`, or crashes.
    """
    size = sum(check_syntax(path) for path in paths)
    seconds = SECONDS + size / BYTES_PER_SECOND
    with _lock:
        try:
            return _exchange({"action": action, "seconds": seconds, **arguments}, name)
        except BadScan:
            raise
        except BaseException:  # An interrupt in the middle of a reply: the next request must not read the rest of it.
            stop()
            raise


def stop() -> None:
    """End the process, if it runs. The next request starts a new one."""
    global _worker
    if _worker is not None:
        _worker.end()
        _worker = None


atexit.register(stop)


def _exchange(request, name):
    worker, begin = _started(), time.monotonic()
    try:
        with _watching(worker.process, request["seconds"]):
            worker.process.stdin.write(json.dumps(request).encode() + b"\n")
            worker.process.stdin.flush()
            reply = json.loads(_line(worker))
            voxels = _voxels(worker, reply["value"]) if request["action"] == "volume" and "error" not in reply else None
    except (EOFError, OSError):
        code = worker.process.wait()
        stop()
        if time.monotonic() - begin >= request["seconds"]:
            reason = f"took longer than {request['seconds']:.0f} s to parse"
        else:
            limit = gibibytes(worker.limit)
            reason = f"ended its parser (status {code}) or needs more memory than {limit} (KERAS_UQ_MAX_MEMORY)"
        raise BadScan("unreadable", f"{name} {reason}: a DICOM file in it is damaged or made to do so.") from None
    if "error" in reply:
        raise BadScan("unreadable", f"{name} is not readable as DICOM ({reply['error']}).")
    return reply["value"], voxels


@contextlib.contextmanager
def _watching(process, seconds):
    """Kill the process after some seconds, on systems that do not do so themselves (see `dicom_worker`)."""
    if TIMED:
        yield
        return
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _started():
    """Return a process that serves this one, started if there is none."""
    global _worker, _warned
    limit = max_memory()
    if _worker is not None and _worker.serves(limit):
        return _worker
    stop()
    worker = _Worker(limit)
    try:
        limited = json.loads(_line(worker))["value"]
    except (EOFError, OSError):
        code = worker.process.wait()
        worker.end()
        raise RuntimeError(
            f"The process that reads DICOM did not start (status {code}). Try: {sys.executable} -P {WORKER.name} 1"
        ) from None
    if not limited and not _warned:
        _warned = True
        warnings.warn("This system cannot limit the memory in which DICOM files are parsed.", stacklevel=2)
    _worker = worker
    return worker


def _line(worker):
    line = worker.process.stdout.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return line


def _voxels(worker, description):
    voxels = np.empty(description["shape"], np.dtype(description["type"]))
    left = memoryview(voxels).cast("B")
    while len(left):
        received = worker.process.stdout.readinto(left)
        if not received:
            raise EOFError
        left = left[received:]
    return voxels
