"""The process in which ITK reads files of strangers: `python -m data_prep.itk_child <bytes>`.

It reads requests from standard input and answers on standard output, each a line of JSON; the voxels of an image follow
their line as they are. It may use so many bytes of memory, each request so many seconds, and it ends with its parent.
"""

import json
import os
import signal
import sys
from typing import Any

import numpy as np
import SimpleITK

# Address space of Python and ITK themselves.
BASE = 2 * 2**30


def tags(files: list[str], names: list[str]) -> list[list[str] | None]:
    """DICOM tags of each file as stripped text, `None` for a file that is not DICOM."""
    return [_tags(file, names) for file in files]


def _tags(file, names):
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(file)
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    return [reader.GetMetaData(name).strip() if reader.HasMetaDataKey(name) else "" for name in names]


def series(folder: str) -> dict[str, list[str]]:
    """Files of each DICOM series of a folder, ordered along the slice normal."""
    reader = SimpleITK.ImageSeriesReader
    return {name: list(reader.GetGDCMSeriesFileNames(folder, name)) for name in reader.GetGDCMSeriesIDs(folder)}


def volume(files: list[str]) -> SimpleITK.Image:
    """The image that the files of a DICOM series make."""
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(files)
    return reader.Execute()


def information(file: str) -> dict[str, Any]:
    """Size, channels and pixel type of an image, without its voxels."""
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return {"size": reader.GetSize(), "channels": reader.GetNumberOfComponents()}


def image(file: str) -> SimpleITK.Image:
    """The image of one file."""
    return SimpleITK.ReadImage(file)


REQUESTS = {function.__name__: function for function in (tags, series, volume, information, image)}


def main(limit: int) -> None:
    """Answer requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    # What C++ prints is no answer.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    _send(answers, {"limited": _limit_memory(BASE + limit)})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _limit_time(request["seconds"])
        try:
            value = REQUESTS[request["do"]](*request["arguments"])
            if isinstance(value, SimpleITK.Image):
                _send_image(answers, value)
            else:
                _send(answers, {"value": value})
        except MemoryError:
            _send(answers, {"error": "there is not enough memory"})
        except Exception as error:
            _send(answers, {"error": str(error).strip().splitlines()[-1] if str(error).strip() else repr(error)})
        _limit_time(0)


def _send_image(answers, value):
    array = np.ascontiguousarray(SimpleITK.GetArrayViewFromImage(value))
    if array.dtype.kind not in "iuf" or value.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(f"its voxels are {value.GetPixelIDTypeAsString()}; expected one real number each")
    about = {"dtype": array.dtype.str, "shape": array.shape}
    about |= {"origin": value.GetOrigin(), "spacing": value.GetSpacing(), "direction": value.GetDirection()}
    _send(answers, {"image": about})
    answers.write(array.data)
    answers.flush()


def _send(answers, content):
    answers.write(json.dumps(content).encode() + b"\n")
    answers.flush()


def _limit_memory(size):
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, ValueError, OSError):
        return False
    return True


def _limit_time(seconds):
    """End this process after so many seconds, whatever C++ does; 0 for no limit."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


if __name__ == "__main__":
    main(int(sys.argv[1]))
