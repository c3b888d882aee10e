"""Check, before a DICOM file is parsed, that its data are of the form that its header announces.

The parser trusts the announced transfer syntax. Where the data are of another form, it takes text for lengths, and
reads for minutes.
"""

import os
import stat
import struct
from pathlib import Path

from keras_uq.preprocessing import BadScan

# Transfer syntaxes without types of values in the data; all others have them, and this one is deflated as a whole.
IMPLICIT = ("1.2.840.10008.1.2", "1.2.840.113619.5.2")
DEFLATED = "1.2.840.10008.1.2.1.99"
# Types of values, and those with a length of four bytes instead of two.
LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
SHORT = (b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL")
SHORT += (b"SS", b"ST", b"TM", b"UI", b"UL", b"US")
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


def _check(path, file):
    syntax, head = None, b""
    for _ in range(MAX_ELEMENTS):
        head = file.read(8)
        if head[:2] != b"\2\0" or len(head) < 8:
            break
        if head[4:6] in LONG:
            (length,) = struct.unpack("<I", file.read(4).ljust(4, b"\0"))
        else:
            (length,) = struct.unpack("<H", head[6:])
        if head[2:4] == b"\x10\0":
            syntax = file.read(min(length, 64)).rstrip(b"\0 ").decode("latin-1")
            length -= min(length, 64)
        file.seek(length, os.SEEK_CUR)
    if syntax in (None, DEFLATED) or len(head) < 8:
        return
    typed = head[4:6] in LONG + SHORT
    if typed == (syntax in IMPLICIT):
        raise BadScan(
            "unreadable",
            f"{path.name} announces the transfer syntax {syntax}, {'without' if typed else 'with'} types of values; "
            f"its data have {'some' if typed else 'none'}. Export it again, or repair it with dcmconv of DCMTK.",
        )
