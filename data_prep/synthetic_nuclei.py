"""Generate synthetic micrographs in the layout of the 2018 Data Science Bowl, for demonstrations and tests.

The pictures show ellipses of varied brightness on a shaded, noisy background. Some are faint and some touch, so that a
network is uncertain about them. They do not come from a microscope, and every table made from them says so.
"""

import hashlib
import os
import shutil
from pathlib import Path

import cv2
import numpy as np

MODALITY = "microscopy"
SIZES = ((96, 96), (96, 128), (112, 112))


def write_collection(folder: str | os.PathLike, pictures: int, seed: int = 0) -> None:
    """Write pictures, and one mask per nucleus.

    Args:
        folder: Folder to create. It appears only when it is complete.
        pictures: Number of pictures.
        seed: Random seed; equal seeds give equal files.
    """
    folder = Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for number in range(pictures):
        name = hashlib.sha256(f"synthetic nuclei {seed} {number}".encode()).hexdigest()
        picture, nuclei = make_picture(np.random.default_rng([seed, number]))
        for part in ("images", "masks"):
            (partial / name / part).mkdir(parents=True)
        opaque = np.full((*picture.shape, 1), 255, "uint8")
        _write(partial / name / "images" / f"{name}.png", np.concatenate([np.stack([picture] * 3, -1), opaque], -1))
        for index, nucleus in enumerate(nuclei):
            digest = hashlib.sha256(f"{name} {index}".encode()).hexdigest()
            _write(partial / name / "masks" / f"{digest}.png", nucleus.astype("uint8") * 255)
    os.replace(partial, folder)


def make_picture(rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Generate a grey picture, uint8 `(height, width)`, and the masks of its nuclei, Booleans of the same shape."""
    height, width = SIZES[rng.integers(len(SIZES))]
    rows, columns = np.mgrid[:height, :width]
    slope = rng.normal(0, 15, 2)
    light = 40 + slope[0] * rows / height + slope[1] * columns / width
    taken, nuclei = np.zeros((height, width), bool), []
    for _ in range(rng.integers(6, 18)):
        centre, radii = rng.uniform((4, 4), (height - 4, width - 4)), rng.uniform(4, 11, 2)
        angle = rng.uniform(0, np.pi)
        down, right = rows - centre[0], columns - centre[1]
        along, across = down * np.cos(angle) + right * np.sin(angle), right * np.cos(angle) - down * np.sin(angle)
        nucleus = ((along / radii[0]) ** 2 + (across / radii[1]) ** 2 < 1) & ~taken
        if nucleus.sum() < 12:
            continue
        taken |= nucleus
        nuclei.append(nucleus)
        light = light + nucleus * rng.choice((25.0, 60.0, 110.0))
    light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.8, 2.0))
    light = light + cv2.GaussianBlur(rng.normal(0, 25, light.shape), (0, 0), 1.0) + rng.normal(0, 6, light.shape)
    return np.clip(light, 0, 255).astype("uint8"), nuclei


def _write(path, picture):
    done, content = cv2.imencode(".png", picture)
    if not done:
        raise OSError(f"OpenCV cannot encode {path.name}.")
    path.write_bytes(content.tobytes())
