"""Scans unlike those of the training: test scans, corrupted in four ways. Images are prepared ones, in [0, 1]."""

import numpy as np
from scipy import ndimage

BLUR = 2.0  # Pixels, in the plane.
BIAS = 2.0  # Signal falls by exp(-2) from the first row to the last, as beside a surface coil.


def inverted(image):
    """Bright is dark: `1 - x` within the scan, the padding stays 0."""
    changed = np.zeros_like(image)
    box = _content(image)
    changed[box] = 1 - image[box]
    return changed


def blurred(image):
    """A Gaussian filter of 2 pixels in each slice."""
    return ndimage.gaussian_filter(image, (0, BLUR, BLUR, 0))


def biased(image):
    """A field that falls exponentially over the rows of the scan, brought to [0, 1] again."""
    rows = _content(image)[1]
    place = np.clip((np.arange(image.shape[1]) - rows.start) / max(rows.stop - rows.start - 1, 1), 0, 1)
    changed = image * np.exp(-BIAS * place).astype("float32")[:, np.newaxis, np.newaxis]
    return changed / max(float(changed.max()), 1e-6)


def incomplete(image):
    """Every second slice is empty."""
    changed = image.copy()
    changed[1::2] = 0
    return changed


SHIFTS = {
    "contrast inverted": inverted,
    "blurred": blurred,
    "bias field": biased,
    "slices missing": incomplete,
}


def shifted_cases(data):
    """`(number, name of the shift, case, load)` of every corrupted test case; `load()` gives image and mask.

    The scans of `data.shifted`, another dataset, come last, as they are. Numbers go on from the other cases.
    """
    entries = [
        (shift, case, _load(data, case, change)) for shift, change in SHIFTS.items() for case in data.split["test"]
    ]
    if data.shifted is not None:
        cases = sorted(case for cases in data.shifted.split.values() for case in cases)
        name = data.shifted.description["name"]
        entries += [(name, case, _load(data.shifted, case, np.asarray)) for case in cases]
    first = sum(len(data.split[part]) for part in ("test", "validation"))
    return [(number, *entry) for number, entry in enumerate(entries, start=first)]


def _load(data, case, change):
    return lambda: (change(np.asarray(data.image(case))), np.asarray(data.mask(case))[..., 0])


def _content(image):
    """The box of what is not 0."""
    box = []
    for axis in range(3):
        where = np.flatnonzero(image.any(axis=tuple(other for other in range(4) if other != axis)))
        box.append(slice(int(where[0]), int(where[-1]) + 1) if len(where) else slice(0, 0))
    return tuple(box)
