"""Read MetaImage files (`.mhd` with its `.raw` or `.zraw`, `.mha`) without a foreign parser.

MetaImage headers may name other files by paths, by lists, and by patterns for `printf`. Only a plain name is taken.
"""

import os
from pathlib import Path

import numpy as np

from data_prep.volume import Volume, check_place, file_beside, numbers, read_voxels, whole_numbers
from keras_uq.preprocessing import BadScan

# A header has at most this many bytes.
MAX_HEADER = 2**16
# `MET_LONG` is left out: its size depends on the program that wrote the file.
TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
# Other names of a field, which mean the same.
SYNONYMS = {
    "Position": "Offset",
    "Origin": "Offset",
    "Orientation": "TransformMatrix",
    "Rotation": "TransformMatrix",
    "ElementByteOrderMSB": "BinaryDataByteOrderMSB",
}
FLAGS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def read_metaimage(path: str | os.PathLike, max_bytes: int | None = None) -> Volume:
    """Read a MetaImage of three axes and one channel.

    Args:
        path: The header (`.mhd`), or the whole image (`.mha`).
        max_bytes: As in `data_prep.volume.check_memory`.

    Raises:
        BadScan: If the header is no MetaImage of this kind, names voxels outside its folder, or does not fit them.
    """
    path = Path(path)
    fields, header_bytes = _header(path)
    if fields.get("ObjectType", "Image") != "Image":
        raise BadScan("unreadable", f"{path.name} holds the object {fields['ObjectType'][:40]!r}; expected Image.")
    rank = _field(path, fields, "NDims", _count)
    if rank != 3:
        raise BadScan("bad_rank", f"{path.name} has {rank} axes; expected 3.")
    channels = _field(path, fields, "ElementNumberOfChannels", _count, 1)
    if channels != 1:
        raise BadScan("bad_rank", f"{path.name} has {channels} channels; expected 1.")
    if not _field(path, fields, "BinaryData", _flag, True):
        raise BadScan("unreadable", f"{path.name} stores voxels as text; save it with BinaryData = True.")
    big = _field(path, fields, "BinaryDataByteOrderMSB", _flag, False)
    dtype = _field(path, fields, "ElementType", lambda text: np.dtype(TYPES[text]).newbyteorder(">" if big else "<"))
    shape = _field(path, fields, "DimSize", lambda text: whole_numbers(text, 3))
    fallback = _field(path, fields, "ElementSize", lambda text: numbers(text, 3), [1.0, 1.0, 1.0])
    spacing = _field(path, fields, "ElementSpacing", lambda text: numbers(text, 3), fallback)
    origin = _field(path, fields, "Offset", lambda text: numbers(text, 3), [0.0, 0.0, 0.0])
    # Each row of the file is the direction of one axis.
    rows = _field(path, fields, "TransformMatrix", lambda text: numbers(text, 9), [1.0, 0, 0, 0, 1, 0, 0, 0, 1])
    direction = np.reshape(rows, (3, 3)).T
    check_place(path.name, spacing, origin, direction)
    name = _field(path, fields, "ElementDataFile", str)
    offset = _field(path, fields, "HeaderSize", lambda text: whole_numbers(text, 1)[0], 0)
    if name.upper() == "LOCAL":
        name, offset = path.name, header_bytes
    compressed = _field(path, fields, "CompressedData", _flag, False)
    voxels = read_voxels(file_beside(path, name), offset, shape, dtype, compressed, max_bytes)
    return Volume(voxels, tuple(spacing), tuple(origin), direction)


def _header(path):
    """Return the fields of a header, and the number of its bytes. `ElementDataFile` is the last field of a header."""
    fields, size = {}, 0
    with open(path, "rb") as file:
        while "ElementDataFile" not in fields:
            line = file.readline(MAX_HEADER - size + 1)
            size += len(line)
            if size > MAX_HEADER or not line:
                where = f"the first {MAX_HEADER} bytes" if line else "it"
                raise BadScan(
                    "unreadable",
                    f"{path.name} is no MetaImage: no header that ends in ElementDataFile in {where}.",
                )
            name, sign, value = line.decode("utf-8", "surrogateescape").partition("=")
            name = SYNONYMS.get(name.strip(), name.strip())
            if not sign and name:
                raise BadScan("unreadable", f"{path.name} is no MetaImage: {name[:40]!r} is no field `name = value`.")
            if sign and name in fields:
                raise BadScan("unreadable", f"{path.name} states {name} twice; expected one value.")
            if sign:
                fields[name] = value.strip()
    return fields, size


def _field(path, fields, name, read, default=None):
    if name not in fields and default is not None:
        return default
    if name not in fields:
        raise BadScan("unreadable", f"{path.name} lacks the field {name}.")
    try:
        return read(fields[name])
    except KeyError:
        raise BadScan(
            "bad_dtype",
            f"{path.name}: expected {name} to be one of {', '.join(TYPES)}. Received: {fields[name][:40]!r}.",
        ) from None
    except ValueError as error:
        raise BadScan("unreadable", f"{path.name}, {name}: {error}.") from None


def _count(text):
    return whole_numbers(text, 1)[0]


def _flag(text):
    if text.lower() not in FLAGS:
        raise ValueError(f"expected True or False. Received: {text[:40]!r}")
    return FLAGS[text.lower()]
