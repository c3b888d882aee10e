"""Read NRRD files (`.nrrd`, or `.nhdr` with its data file) without a foreign parser."""

import os
import re
from pathlib import Path

import numpy as np

from data_prep.volume import Volume, check_place, file_beside, numbers, read_voxels, whole_numbers
from keras_uq.preprocessing import BadScan

# A header has at most this many bytes.
MAX_HEADER = 2**16
TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
# Signs that bring coordinates of a space to left, posterior, superior.
SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
# Fields that change neither the voxels nor their place.
WITHOUT_EFFECT = ("content", "number", "block size", "sample units", "thicknesses", "labels", "units", "centerings")
WITHOUT_EFFECT += ("centers", "measurement frame", "min", "max", "old min", "old max", "axis mins", "axis maxs")
SKIPS = ("line skip", "lineskip", "byte skip", "byteskip")


def read_nrrd(path: str | os.PathLike, max_bytes: int | None = None) -> Volume:
    """Read an NRRD file of three axes in space.

    Args:
        path: The file, or its header (`.nhdr`).
        max_bytes: As in `data_prep.volume.check_memory`.

    Raises:
        BadScan: If the header is no NRRD of this kind, names voxels outside its folder, or does not fit them.
    """
    path = Path(path)
    fields, header_bytes = _header(path)
    rank = _field(path, fields, "dimension", lambda text: whole_numbers(text, 1)[0])
    kinds = fields.pop("kinds", "domain domain domain").lower().split()
    if rank != 3 or not set(kinds) <= {"domain", "space", "???", "none"}:
        raise BadScan("bad_rank", f"{path.name} has {rank} axes ({' '.join(kinds)[:80]}); expected 3 axes of space.")
    kind = _field(path, fields, "type", _type)
    dtype = np.dtype(kind)
    if dtype.itemsize > 1:
        dtype = _field(
            path, fields, "endian", lambda text: dtype.newbyteorder({"little": "<", "big": ">"}[text.lower()])
        )
    fields.pop("endian", None)
    shape = _field(path, fields, "sizes", lambda text: whole_numbers(text, 3))
    compressed = _field(path, fields, "encoding", lambda text: {"raw": False, "gzip": True, "gz": True}[text.lower()])
    signs = np.array(_field(path, fields, "space", lambda text: SPACES[text.lower()]))
    columns = _field(path, fields, "space directions", lambda text: _vectors(text, 3))
    origin = _field(path, fields, "space origin", lambda text: _vectors(text, 1)[0], [0.0, 0.0, 0.0])
    _check_unit(path, fields.pop("space units", ""))
    name = fields.pop("data file", None)
    left = [field for field in fields if field not in WITHOUT_EFFECT]
    if left:
        raise BadScan("unreadable", f"{path.name} has fields that are not supported: {', '.join(left)[:200]}.")
    axes = signs[:, np.newaxis] * np.array(columns).T
    spacing = np.linalg.norm(axes, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        direction = axes / spacing
    origin = (signs * origin).tolist()
    check_place(path.name, spacing.tolist(), origin, direction)
    data, offset = (path, header_bytes) if name is None else (file_beside(path, name), 0)
    voxels = read_voxels(data, offset, shape, dtype, compressed, max_bytes)
    return Volume(voxels, tuple(spacing.tolist()), tuple(origin), direction)


def _header(path):
    """Return the fields of a header, and the number of its bytes. An empty line or the end of the file ends it."""
    fields, size = {}, 0
    with open(path, "rb") as file:
        while True:
            line = file.readline(MAX_HEADER - size + 1)
            size += len(line)
            if size > MAX_HEADER:
                raise BadScan(
                    "unreadable", f"{path.name} is no NRRD: its first {MAX_HEADER} bytes hold no whole header."
                )
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            if size == len(line):
                if not re.fullmatch("NRRD000[1-5]", text):
                    raise BadScan("unreadable", f"{path.name} is no NRRD: it does not begin with NRRD0001 to NRRD0005.")
                continue
            if not text:
                return fields, size
            if text.startswith("#") or re.match(r"[^:]*:=", text):
                continue  # A comment, or a pair of names without a meaning in the format.
            name, sign, value = text.partition(": ")
            name = {"datafile": "data file"}.get(name.lower(), name.lower())
            if not sign or name in fields:
                problem = "stands twice" if sign else "is no field `name: value`"
                raise BadScan("unreadable", f"{path.name} is no NRRD of ours to read: {name[:40]!r} {problem}.")
            if name not in SKIPS or value.strip() != "0":
                fields[name] = value.strip()


def _field(path, fields, name, read, default=None):
    """Take a field out of the header and return its value."""
    if name not in fields and default is not None:
        return default
    if name not in fields:
        raise BadScan("unreadable", f"{path.name} lacks the field `{name}`.")
    text = fields.pop(name)
    try:
        return read(text)
    except KeyError:
        advice = "Save it with 3D Slicer or SimpleITK as raw or gzip, with a space such as left-posterior-superior"
        raise BadScan("unreadable", f"{path.name}: `{name}` {text[:80]!r} is not supported. {advice}.") from None
    except ValueError as error:
        raise BadScan("unreadable", f"{path.name}, `{name}`: {error}.") from None


def _type(text):
    names = {name: kind for kind, synonyms in TYPES.items() for name in synonyms}
    return names[" ".join(text.lower().split())]


def _vectors(text, count):
    """The numbers of vectors such as `(1,0,0) (0,1,0)`."""
    vectors = re.findall(r"\(([^()]*)\)", text)
    if len(vectors) != count or re.sub(r"\([^()]*\)|\s", "", text):
        raise ValueError(f"expected {count} vectors (x,y,z). Received: {text[:80]!r}")
    return [numbers(vector.replace(",", " "), 3) for vector in vectors]


def _check_unit(path, text):
    units = set(re.findall(r'"([^"]*)"', text)) or set(text.split())
    if not units <= {"mm", "???", ""}:
        raise BadScan("bad_zooms", f"{path.name} is measured in {', '.join(sorted(units))[:40]}; expected mm.")
