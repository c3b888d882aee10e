"""The parent's side of `itk_child`: one process for all files of a run, started again after one that was ended."""

import atexit
import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_uq.files import gibibytes, max_memory
from keras_uq.preprocessing import BadScan

# Seconds for a request, and bytes read in each further second.
SECONDS, BYTES_A_SECOND = 60, 10 * 2**20


class Failed(ValueError):
    """What ITK says about a file that it cannot read."""


class ITKProcess:
    """A process of `data_prep.itk_child` that starts with the first request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = None
        self._owner = None

    def ask(self, do: str, *arguments: Any, size: int = 0, name: str = "") -> Any:
        """Return the answer to a request: JSON types, or an image as `(array, about)`.

        Args:
            do: Name of a function of `itk_child`.
            arguments: Its arguments, JSON types.
            size: Bytes that will be read.
            name: Name of the file or folder, for errors.

        Raises:
            Failed: If ITK cannot read the file.
            BadScan: If it takes too long (`unreadable`), or its process ended.
        """
        seconds = SECONDS + size // BYTES_A_SECOND
        with self._lock:
            process = self._running()
            request = {"do": do, "arguments": arguments, "seconds": seconds + 1}
            late = threading.Event()
            timer = threading.Timer(seconds, lambda: (late.set(), process.kill()))
            timer.start()
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
                answer = self._answer(process)
            except (OSError, EOFError):
                self.close()
                if late.is_set():
                    raise BadScan("unreadable", f"{name} took longer than {seconds} s to read.") from None
                raise BadScan(
                    "unreadable",
                    f"{name} ended the process that read it: it is damaged, or needs more memory than "
                    f"{gibibytes(max_memory())} (KERAS_UQ_MAX_MEMORY).",
                ) from None
            finally:
                timer.cancel()
        if isinstance(answer, dict) and "error" in answer:
            raise Failed(answer["error"])
        return answer["value"] if isinstance(answer, dict) else answer

    def close(self) -> None:
        """End the process if it runs."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()

    def _running(self):
        # A process that was forked must not answer to two.
        if self._process is not None and (self._owner != os.getpid() or self._process.poll() is not None):
            self.close()
        if self._process is None:
            root = str(Path(__file__).parent.parent)
            paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
            self._process = subprocess.Popen(
                [sys.executable, "-m", "data_prep.itk_child", str(max_memory())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
            self._owner = os.getpid()
            line = self._process.stdout.readline()
            if not line:
                self.close()
                raise ImportError("The process that reads DICOM and MetaImage did not start; see above.")
            if not json.loads(line)["limited"]:
                warnings.warn("This system cannot limit the memory of the process that reads DICOM.", stacklevel=4)
        return self._process

    def _answer(self, process):
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        answer = json.loads(line)
        if "image" not in answer:
            return answer
        about = answer["image"]
        array = np.empty(about["shape"], np.dtype(about["dtype"]))
        rest = memoryview(array.reshape(-1)).cast("B")
        while len(rest):
            read = process.stdout.readinto(rest)
            if not read:
                raise EOFError
            rest = rest[read:]
        return array, about


def size_of(files: Sequence[str | os.PathLike]) -> int:
    """Return the size of all files in bytes; files that are gone have none."""
    return sum(os.path.getsize(file) for file in files if os.path.isfile(file))


PROCESS = ITKProcess()
atexit.register(PROCESS.close)
