"""The process in which DICOM files of strangers are parsed. `dicom_process` starts it and asks.

A request is a line of JSON on standard input: `action`, its arguments, and the `seconds` it may take. A reply is a line
of JSON on standard output, `value` or `error`; voxels follow as raw bytes. The end of standard input ends the process.
This file imports SimpleITK, and nothing of this package: the process starts in a fraction of a second.
"""

import json
import os
import signal
import sys

import SimpleITK


def main() -> None:
    """Answer requests until standard input ends. The argument is the memory limit in bytes."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What the parser prints must not come between replies.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The parent decides.
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    _send(replies, {"value": limit_memory(int(sys.argv[1]))})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _alarm(request.pop("seconds"))
        action = ACTIONS[request.pop("action")]
        try:
            value, image = action(**request)
        except Exception as error:  # Whatever the parser raises is a finding on these files.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            _send(replies, {"error": reason})
        else:
            _send(replies, {"value": value}, image)
        _alarm(0)


def limit_memory(size: int) -> bool:
    """Limit the memory that this process may still take, in bytes. Returns whether this system can."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            size += int(file.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        size = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ImportError, OSError, ValueError):
        return False
    return True


def _alarm(seconds):
    """Let the system end this process after these seconds, where it can, even if the parent has gone; 0 ends that."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _send(replies, reply, image=None):
    replies.write(json.dumps(reply).encode() + b"\n")
    if image is not None:  # The view is of the image's memory, which must live until it is written.
        replies.write(memoryview(SimpleITK.GetArrayViewFromImage(image)).cast("B"))
    replies.flush()


def list_series(folder: str) -> tuple[dict[str, list[str]], None]:
    """Return `{series: files}` of a folder, with the files ordered along the slice normal."""
    reader = SimpleITK.ImageSeriesReader
    identifiers = reader.GetGDCMSeriesIDs(folder)
    return {series: list(reader.GetGDCMSeriesFileNames(folder, series)) for series in identifiers}, None


def read_tags(files: list[str], tags: list[str]) -> tuple[list[list[str] | None], None]:
    """Return the tags of each file as stripped text: empty if missing, `None` for a file that is no DICOM."""
    return [_tags_of(file, tags) for file in files], None


def _tags_of(file, tags):
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(file)
    reader.SetImageIO("GDCMImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    return [reader.GetMetaData(tag).strip() if reader.HasMetaDataKey(tag) else "" for tag in tags]


def read_volume(files: list[str], series: bool) -> tuple[dict, SimpleITK.Image]:
    """Read a series, or one file, as a volume. Returns what places it in space, and the image."""
    reader = SimpleITK.ImageSeriesReader() if series else SimpleITK.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    if series:
        reader.SetFileNames(files)
    else:
        reader.SetFileName(files[0])
    image = reader.Execute()
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise ValueError(f"it has {image.GetDimension()} axes and {image.GetNumberOfComponentsPerPixel()} channels")
    voxels = SimpleITK.GetArrayViewFromImage(image)
    description = {"type": voxels.dtype.str, "shape": voxels.shape}
    description |= {"spacing": image.GetSpacing(), "origin": image.GetOrigin(), "direction": image.GetDirection()}
    return description, image


ACTIONS = {"list": list_series, "tags": read_tags, "volume": read_volume}

if __name__ == "__main__":
    main()
