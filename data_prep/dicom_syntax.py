"""Check, before a DICOM file is parsed, that its data are of the form that its header announces.

The parser trusts the announced transfer syntax. Where the data are of another form, it takes text for lengths, and
reads for minutes.
"""

import os
import re
import stat
import struct
from pathlib import Path

from keras_uq.preprocessing import BadScan

# Transfer syntaxes without types of values in the data; all others have them, and this one is deflated as a whole.
IMPLICIT = ("1.2.840.10008.1.2", "1.2.840.113619.5.2")
DEFLATED = "1.2.840.10008.1.2.1.99"
# Syntaxes in which voxels are stored as they are.
RAW = (*IMPLICIT, "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
# Types of values, and those with a length of four bytes instead of two.
LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
SHORT = (b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL")
SHORT += (b"SS", b"ST", b"TM", b"UI", b"UL", b"US")
# Elements of the header.
SOP_CLASS, SYNTAX = 0x0002, 0x0010
# Classes of files that are no images of a series: catalogues, spectra, waveforms, presentations, raw data and
# segmentations, reports, documents, radiotherapy.
WITHOUT_IMAGE = (
    "1.2.840.10008.1.3.10",
    *(f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("4.2", "9.", "11.", "66", "88.", "104.")),
    *(f"1.2.840.10008.5.1.4.1.1.481.{end}" for end in "345678"),
)
# The header of a file has a dozen elements.
MAX_ELEMENTS = 200


def check_syntax(path: str | os.PathLike) -> int:
    """Check one file, and return its size in bytes. A file without the mark of DICOM passes: the parser refuses it.

    Raises:
        BadScan: With the code `unreadable`, if the form of the data is not the announced one, or the path is no
            readable file.
    """
    path = Path(path)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise BadScan("unreadable", f"{path.name} is no regular file; take it out of {path.parent.name}.")
        with open(path, "rb") as file:
            file.seek(128)
            if file.read(4) == b"DICM":
                _check(path, file)
    except OSError as error:
        raise BadScan("unreadable", f"{path.name} cannot be read ({error.strerror}).") from error
    return status.st_size


def can_hold(path: str | os.PathLike, size: int) -> bool:
    """Whether a file can hold voxels of this size in bytes. Where they are compressed, any file can."""
    with open(path, "rb") as file:
        file.seek(128)
        raw = file.read(4) != b"DICM" or _header(file)[0].get(SYNTAX, RAW[0]) in RAW
    return not raw or os.path.getsize(path) >= size


def says_image(path: str | os.PathLike) -> bool:
    """Whether a file says that it is a DICOM image: by its mark and class, or, without the mark, by its name."""
    path = Path(path)
    with open(path, "rb") as file:
        file.seek(128)
        if file.read(4) != b"DICM":
            return path.suffix.lower() == ".dcm"
        return not _header(file)[0].get(SOP_CLASS, "").startswith(WITHOUT_IMAGE)


def _header(file):
    """Return the texts of the header's elements, `{element: text}`, and the first eight bytes of the data after it."""
    texts, head = {}, b""
    for _ in range(MAX_ELEMENTS):
        head = file.read(8)
        if head[:2] != b"\2\0" or len(head) < 8:
            break
        if head[4:6] in LONG:
            (length,) = struct.unpack("<I", file.read(4).ljust(4, b"\0"))
        else:
            (length,) = struct.unpack("<H", head[6:])
        text = file.read(min(length, 64)).rstrip(b"\0 ").decode("latin-1")
        texts[struct.unpack("<H", head[2:4])[0]] = re.sub("[^0-9.]", "?", text)
        file.seek(length - min(length, 64), os.SEEK_CUR)
    return texts, head


def _check(path, file):
    texts, head = _header(file)
    syntax = texts.get(SYNTAX)
    if syntax in (None, DEFLATED) or len(head) < 8:
        return
    typed = head[4:6] in LONG + SHORT
    if typed == (syntax in IMPLICIT):
        raise BadScan(
            "unreadable",
            f"{path.name} announces the transfer syntax {syntax}, {'without' if typed else 'with'} types of values; "
            f"its data have {'some' if typed else 'none'}. Export it again, or repair it with dcmconv of DCMTK.",
        )
