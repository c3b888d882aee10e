"""Look into headers of DICOM, MetaImage and NRRD files before ITK does, which believes what they say.

ITK gives the name of a MetaImage's data file to `printf`, opens it wherever it is, and reads DICOM elements of one
encoding as those of another until its memory ends.
"""

import math
import os
import re
from pathlib import Path

from keras_uq._kinds import shown
from keras_uq.files import gibibytes, max_memory
from keras_uq.preprocessing import BadScan

# Bytes in which a header has to end.
HEADER = 2**16
# Largest compression factor of Deflate, and bytes of a voxel as network input.
MAX_DEFLATE, FLOAT32 = 1032, 4

TYPES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 4, "ULONG": 4}
TYPES |= {"LONG_LONG": 8, "ULONG_LONG": 8, "FLOAT": 4, "DOUBLE": 8}
# Fields of a MetaImage that are lists of finite numbers.
NUMBERS = ("ElementSpacing", "ElementSize", "Offset", "Position", "Origin", "TransformMatrix", "Rotation")

# Transfer syntaxes of DICOM.
IMPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
ENCAPSULATED = re.compile(r"1\.2\.840\.10008\.1\.2\.(4\.\d+|5)")
REPRESENTATIONS = (
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
PIXELS = b"\xe0\x7f\x10\x00"
UNDEFINED = b"\xff\xff\xff\xff"


def check_dicom(path: str | os.PathLike) -> None:
    """Check that the elements of a DICOM file are encoded as it declares.

    Raises:
        BadScan: With the code `unreadable`.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(HEADER)
    except OSError as error:
        raise BadScan("missing", f"{path.name} cannot be opened ({error.strerror}).") from None
    if start[128:132] != b"DICM":
        return
    syntax, place = "", 132
    while start[place : place + 2] == b"\x02\x00":
        number, kind = start[place + 2 : place + 4], start[place + 4 : place + 6]
        long = kind in (b"OB", b"OW", b"UN", b"SQ", b"UT")
        begin = place + (12 if long else 8)
        size = int.from_bytes(start[place + 8 : begin] if long else start[place + 6 : begin], "little")
        if number == b"\x10\x00":
            syntax = start[begin : begin + size].rstrip(b"\0 ").decode("ascii", "replace")
        place = begin + size
    kind = start[place + 4 : place + 6]
    if not syntax or syntax == DEFLATED or len(kind) < 2:
        return
    explicit = kind in REPRESENTATIONS
    if explicit != (syntax != IMPLICIT):
        raise BadScan(
            "unreadable",
            f"{path.name} declares the transfer syntax {shown(syntax)}, but its elements are "
            f"{'explicit' if explicit else 'implicit'}. Write it again with a tool that mends DICOM, such as dcmconv.",
        )
    if ENCAPSULATED.fullmatch(syntax):
        content = path.read_bytes()
        pixels = content.rfind(PIXELS)
        if (
            pixels >= 0
            and content.find(PIXELS + b"OB\0\0" + UNDEFINED) < 0
            and content.find(PIXELS + b"OW\0\0" + UNDEFINED) < 0
        ):
            raise BadScan(
                "unreadable",
                f"{path.name} declares compressed pixels, transfer syntax {shown(syntax)}, but its pixels are not.",
            )


def check_metaimage(path: str | os.PathLike) -> None:
    """Check the header of an `.mhd` or `.mha` file, and that its data file lies beside it.

    Raises:
        BadScan: With the code `unreadable`, `missing`, `bad_dims`, `bad_zooms`, `bad_affine`, `bad_dtype`, `truncated`
            or `too_large`.
    """
    path = Path(path)
    if "%" in str(path):
        raise BadScan(
            "unreadable", f"{path.name}: rename the file or its folders; ITK reads a % in a path as a pattern."
        )
    fields, end = _metaimage_fields(path)

    def number(name, default, least):
        text = fields.get(name, default)
        if not re.fullmatch(r"-?[0-9]{1,9}", text) or int(text) < least:
            raise BadScan("unreadable", f"{path.name}: expected {name} of at least {least}. Received: {shown(text)}.")
        return int(text)

    axes = number("NDims", "", 2)
    sizes = fields.get("DimSize", "").split()
    if len(sizes) != axes or not all(re.fullmatch("[0-9]{1,9}", size) and int(size) for size in sizes):
        raise BadScan(
            "bad_dims",
            f"{path.name}: expected DimSize with {axes} whole numbers above 0. Received: "
            f"{shown(fields.get('DimSize', ''))}.",
        )
    for name in NUMBERS:
        values = fields.get(name, "").split()
        try:
            finite = all(math.isfinite(float(value)) for value in values)
        except ValueError:
            finite = False
        if not finite or (name.startswith("Element") and any(float(value) <= 0 for value in values)):
            code = "bad_zooms" if name.startswith("Element") else "bad_affine"
            raise BadScan(
                code,
                f"{path.name}: {name} holds {shown(fields[name])}; expected finite numbers"
                f"{' above 0' if code == 'bad_zooms' else ''}.",
            )
    kind = fields.get("ElementType", "").removeprefix("MET_").removesuffix("_ARRAY")
    if kind not in TYPES:
        raise BadScan("bad_dtype", f"{path.name}: expected ElementType with a number type. Received: {shown(kind)}.")
    voxels = math.prod(map(int, sizes)) * number("ElementNumberOfChannels", "1", 1)
    declared, needed = voxels * TYPES[kind], voxels * (TYPES[kind] + FLOAT32)
    if needed > max_memory():
        raise BadScan(
            "too_large",
            f"{path.name} declares {' x '.join(sizes)} voxels, which need {gibibytes(needed)} of memory; the limit is "
            f"{gibibytes(max_memory())} (KERAS_UQ_MAX_MEMORY).",
        )
    available = _data_size(path, fields["ElementDataFile"], end)
    compressed = fields.get("CompressedData", "False").lower() in ("true", "1")
    if available * (MAX_DEFLATE if compressed else 1) < declared:
        raise BadScan("truncated", f"{path.name} declares {declared} bytes of voxels; its data are {available} bytes.")


def _metaimage_fields(path):
    """The fields of a header, and where it ends."""
    fields, end = {}, 0
    try:
        with open(path, "rb") as file:
            for line in file.read(HEADER).splitlines(keepends=True):
                end += len(line)
                name, equals, value = line.decode("ascii").partition("=")
                name, value = name.strip(), value.strip()
                if not equals or name in fields or not value.isprintable():
                    raise ValueError
                fields[name] = value
                if name == "ElementDataFile":
                    return fields, end
    except OSError as error:
        raise BadScan("missing", f"{path.name} cannot be opened ({error.strerror}).") from None
    except ValueError:  # UnicodeDecodeError is one.
        pass
    raise BadScan(
        "unreadable", f"{path.name} is no MetaImage: expected lines `name = value`, the last with ElementDataFile."
    )


def _data_size(path, name, end):
    """Bytes of the data file. It is a plain name beside the header: no pattern, no list, no other folder."""
    if name == "LOCAL":
        return path.stat().st_size - end
    if not re.fullmatch(r"[^%/\\]+", name) or name in (".", "..", "LIST") or name.startswith("LIST "):
        raise BadScan(
            "unreadable", f"{path.name} names the data file {shown(name)}; expected LOCAL or a file name in its folder."
        )
    data = path.with_name(name)
    if not data.is_file():
        raise BadScan("missing", f"{path.name} needs its data file {shown(name)} beside it; there is none.")
    return data.stat().st_size


def check_nrrd(path: str | os.PathLike) -> None:
    """Check that the voxels of an `.nrrd` file are in that file.

    Raises:
        BadScan: With the code `unreadable`.
    """
    path = Path(path)
    with open(path, "rb") as file:
        header, blank, _ = re.sub(rb"\r\n", b"\n", file.read(HEADER)).partition(b"\n\n")
    if not header.startswith(b"NRRD") or not blank:
        raise BadScan("unreadable", f"{path.name} is no NRRD file with its voxels inside.")
    if re.search(rb"^\s*data ?file\s*:", header, re.IGNORECASE | re.MULTILINE):
        raise BadScan(
            "unreadable",
            f"{path.name} has its voxels in another file. Save it as one .nrrd or .nii.gz, with 3D Slicer.",
        )
