"""Read pictures and masks of the five datasets: PNG, JPEG, TIFF and GIF files with 8 bits a channel."""

import io
import os
import struct
import warnings
from pathlib import Path

import numpy as np

from keras_uq.preprocessing import BadScan, Scan

FORMATS = ("PNG", "JPEG", "TIFF", "GIF")
BEGINNINGS = (b"\x89PNG", b"\xff\xd8", b"II", b"MM", b"GIF8")
# The largest picture of the five datasets has 30 million pixels.
MAX_PIXELS = 64 * 2**20
# Masks contain 0 and 255; some contain values in between, from a conversion. Values above this are foreground.
THRESHOLD = 127
# Largest difference between the channels of a grey picture that was saved in colour.
GREY = 16
# Modes of Pillow with 8 bits a channel, or one bit.
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")
# Tag of EXIF and TIFF, and its values for pictures that are not stored as they are shown.
ORIENTATION, TURNED = 274, range(2, 9)
# Further tags of TIFF: what the channels mean, and how many there are; their type, and two meanings.
MEANING, CHANNELS, SHORT, BLACK_IS_ZERO, RGB = 262, 277, 3, 1, 2


def read_picture(path: Path) -> Scan:
    """Read a picture as a `Scan` of one slice, uint8 `(width, height, 1, 3)`.

    Grey pictures are converted to three equal channels; transparency is dropped.

    Raises:
        BadScan: With the code `missing`, `unreadable`, `truncated`, `too_large` or `picture_kind`.
    """
    pixels = np.asarray(_decoded(path).convert("RGB"))
    return _scan(pixels.transpose(1, 0, 2)[:, :, np.newaxis])


def read_mask(path: Path) -> Scan:
    """Read a mask as a `Scan`, uint8 `(width, height, 1)`, with 1 in the foreground.

    The foreground is where the picture is brighter than half; in a picture of only 0 and 1, where it is 1.

    Raises:
        BadScan: As `read_picture` does; also `mask_values` if the mask has colours, transparent pixels, or only dark
            values other than 0 and 1.
    """
    return _scan(_foreground(path).T[:, :, np.newaxis].astype("uint8"))


def read_masks(folder: str | os.PathLike) -> Scan:
    """Read the union of all masks in a folder, one mask per nucleus, like `read_mask`.

    Raises:
        BadScan: As `read_mask` does; also `missing` if there is no mask, and `shape_mismatch` if sizes differ.
    """
    paths = sorted(pictures_in(Path(folder), (".png",)))
    if not paths:
        raise BadScan("missing", f"{Path(folder).parent.name} has no PNG in its folder {Path(folder).name}.")
    union = None
    for path in paths:
        mask = _foreground(path)
        if union is not None and mask.shape != union.shape:
            raise BadScan("shape_mismatch", f"Mask {path.name} is {mask.shape}, {paths[0].name} is {union.shape}.")
        union = mask if union is None else union | mask
    return _scan(union.T[:, :, np.newaxis].astype("uint8"))


def pictures_in(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files of a folder with these suffixes, except hidden ones."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] not in "._"]


def _scan(voxels):
    return Scan(voxels, np.eye(4), (1.0, 1.0, 1.0), header=None)


def _foreground(path):
    """Booleans `(height, width)`."""
    picture = _decoded(path)
    if picture.mode in ("LA", "PA", "RGBA") and picture.getextrema()[-1] != (255, 255):
        raise BadScan(
            "mask_values", f"{path.name} has transparent pixels, which say neither foreground nor background."
        )
    if picture.mode == "1":
        return np.asarray(picture)
    if picture.mode not in ("L", "LA"):
        colours = np.asarray(picture.convert("RGB")).astype("int16")
        if colours.size and np.ptp(colours, axis=-1).max() > GREY:
            raise BadScan("mask_values", f"{path.name} has colours.")
    values = np.asarray(picture if picture.mode == "L" else picture.convert("L"))
    largest = int(values.max())
    if 1 < largest <= THRESHOLD:
        raise BadScan("mask_values", f"{path.name} has values from {values.min()} to {largest}.")
    return values > (THRESHOLD if largest > 1 else 0)


def _decoded(path):
    """The decoded picture, after all that its header answers."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # It speaks of more than `MAX_PIXELS`.
            opened = Image.open(_with_colours(path), formats=FORMATS)
        with opened as picture:
            _check(picture, path)
            picture.load()
            return picture
    except FileNotFoundError as error:
        raise BadScan("missing", f"{path.name} does not exist.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path) from error
    except UnidentifiedImageError as error:
        raise _unknown(path) from error
    except BadScan:
        raise
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all three for damaged files.
        raise BadScan("truncated", f"{path.name} is damaged or ends early ({error}).") from error


def _check(picture, path):
    """Refuse, before the pixels are decoded, what would not be read as it is meant."""
    if picture.width * picture.height > MAX_PIXELS:
        raise _too_large(path)
    if picture.mode not in MODES or any(";16" in str(tile) for tile in picture.tile):
        bits = "16 bits a channel" if "16" in f"{picture.mode} {picture.tile}" else f"pixels of the mode {picture.mode}"
        raise BadScan("picture_kind", f"{path.name} has {bits}; expected 8 bits a channel, grey or RGB.")
    # JPEG files with several pictures have previews behind the first one.
    if picture.format in ("GIF", "PNG", "TIFF") and getattr(picture, "is_animated", False):
        raise BadScan("picture_kind", f"{path.name} holds more than one picture.")
    # Pillow turns TIFF files by itself when it decodes them.
    tags = picture.tag_v2 if picture.format == "TIFF" else picture.getexif()
    if tags.get(ORIENTATION) in TURNED:
        raise BadScan(
            "picture_kind",
            f"{path.name} says that it has to be turned or mirrored before it is shown (orientation "
            f"{tags[ORIENTATION]}), which its mask may be already or not.",
        )


def _unknown(path):
    with open(path, "rb") as file:
        beginning = file.read(8)
    if not beginning or beginning.startswith(BEGINNINGS):
        return BadScan("unreadable", f"{path.name} is {'damaged' if beginning else 'empty'}.")
    return BadScan("picture_kind", f"{path.name} is no PNG, JPEG, TIFF or GIF file; it begins with {beginning}.")


def _too_large(path):
    return BadScan("too_large", f"{path.name} declares more than {MAX_PIXELS / 1e6:.0f} million pixels.")


def _with_colours(path):
    """The path; of a TIFF file that calls its three channels grey, a copy in memory that calls them RGB.

    All pictures of the official CVC-ClinicDB are such files, which Pillow does not read.
    """
    with open(path, "rb") as file:
        place, order = _grey_of_three(file)
        if place is None:
            return path
        if os.fstat(file.fileno()).st_size > 4 * MAX_PIXELS:
            raise _too_large(path)
        file.seek(0)
        content = bytearray(file.read())
    content[place : place + 2] = struct.pack(f"{order}H", RGB)
    return io.BytesIO(content)


def _grey_of_three(file):
    """Where a TIFF file calls three channels grey, and its byte order; `(None, None)` for any other file."""
    header = file.read(8)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(header[:4])
    if order is None or len(header) < 8:
        return None, None
    start = struct.unpack(f"{order}I", header[4:])[0]
    file.seek(start)
    count = file.read(2)
    count = struct.unpack(f"{order}H", count)[0] if len(count) == 2 else 0
    entries = file.read(12 * count)
    tags = {}
    for at in range(0, len(entries) - 11, 12):
        tag, kind, number, value = struct.unpack_from(f"{order}HHIH", entries, at)
        if kind == SHORT and number == 1:
            tags[tag] = value, start + 2 + at + 8
    if tags.get(CHANNELS, (0,))[0] == 3 and tags.get(MEANING, (None,))[0] == BLACK_IS_ZERO:
        return tags[MEANING][1], order
    return None, None
