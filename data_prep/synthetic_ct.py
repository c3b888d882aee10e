"""Generate synthetic abdominal CT and MRI, for demonstrations and tests without a downloaded archive.

The images are not anatomically correct and do not replace patient data.

Each patient is a function of a seed. Organs are smooth shapes with irregular borders and plausible Hounsfield units:
liver, spleen, kidneys, stomach, bowel loops, vessels, spine. The pancreas is a thin, bent, lobulated shape between a
vein, the duodenum and bowel loops of similar density, so intensity alone does not identify it. Some patients have a
tumour in it. Borders are blurred by partial volume and the scanner, and noise is added. The MRI has arbitrary units, a
different scale for each patient, and a shading across the body.

The files have the layout of the Medical Segmentation Decathlon: int16 NIfTI in RAS orientation.
"""

import json
import os
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

SHAPE = (128, 128, 16)
SPACING = (2.5, 2.5, 5.0)
# Sub-voxels per voxel along x and y. Their mean simulates partial volume at borders.
SUPERSAMPLING = 2
LABELS = {
    "pancreas": {0: "background", 1: "pancreas", 2: "cancer"},
    "spleen": {0: "background", 1: "spleen"},
    "liver": {0: "background", 1: "liver", 2: "tumour"},
}
MODALITY = {"pancreas": "CT", "spleen": "CT", "liver": "MRI"}
# Relative signal of a contrast-enhanced, fat-suppressed T1 image, as (Hounsfield units, signal) pairs.
MRI_SIGNAL = ((-1000, 0), (-150, 0.05), (-60, 0.12), (0, 0.3), (60, 0.6), (120, 1), (200, 1.1), (450, 0.5), (3000, 0.1))
# Smallest number of patients with which no set of the split is empty.
MIN_PATIENTS = 3


def write_task(folder: str | os.PathLike, organ: str = "pancreas", patients: int = 80, seed: int = 0) -> None:
    """Write a task in Decathlon layout.

    Args:
        folder: Folder to create. It appears only when it is complete.
        organ: `"pancreas"` (CT; label 1, and 2 for the tumour), `"spleen"` (CT; label 1) or `"liver"` (MRI; label 1,
            and 2 for the tumour).
        patients: Number of patients.
        seed: Random seed; equal seeds give equal files.

    Raises:
        ValueError: For an unknown organ or too few patients.
    """
    folder = Path(folder)
    if organ not in LABELS:
        raise ValueError(f"Expected `organ` to be one of {sorted(LABELS)}. Received: {organ!r}.")
    if patients < MIN_PATIENTS:
        raise ValueError(f"Expected at least {MIN_PATIENTS} patients. Received: {patients!r}.")
    partial = folder.with_name(folder.name + ".partial")
    for name in ("imagesTr", "labelsTr"):
        (partial / name).mkdir(parents=True, exist_ok=True)
    training = []
    for index in range(patients):
        voxels, organs = patient(seed, index)
        if MODALITY[organ] == "MRI":
            voxels = as_mri(voxels, seed, index)
        name = f"synthetic_{index:03d}.nii.gz"
        _save(voxels, partial / "imagesTr" / name)
        _save(organs[organ], partial / "labelsTr" / name)
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    description = {
        "name": f"Synthetic {MODALITY[organ]}, {organ}",
        "description": f"Generated abdominal {MODALITY[organ]} for demonstration; not patient data",
        "labels": {str(value): name for value, name in LABELS[organ].items()},
        "modality": {"0": MODALITY[organ]},
        "numTraining": patients,
        "training": training,
        "test": [],
    }
    (partial / "dataset.json").write_text(json.dumps(description, indent=2))
    partial.rename(folder)


def patient(seed: int, index: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Generate the CT of one patient.

    Returns:
        Hounsfield units, int16 `(x, y, z)` in RAS orientation, and the labels of each organ of `LABELS`, uint8 of the
        same shape.
    """
    rng = np.random.default_rng([seed, index])
    grid = _Grid(rng)
    tissue = np.full(grid.shape, -1000.0, dtype="float32")
    size = rng.normal(1.0, 0.06)
    body = grid.ellipsoid((0, 0, 0), (150 * size, 108 * size, 1e4), 0.02)
    wall = grid.ellipsoid((0, -2, 0), (128 * size, 88 * size, 1e4), 0.03)
    cavity = grid.ellipsoid((0, 4, 0), (116 * size, 74 * size, 1e4), 0.03)
    tissue[body] = rng.normal(-100, 6)
    tissue[wall] = rng.normal(55, 5)
    tissue[cavity] = rng.normal(-92, 6)

    def centre(x, y, z=0.0, spread=6.0):
        return np.array([x, y, z]) * size + rng.normal(0, spread, 3)

    for place, hounsfield in _loops(rng, size):
        tissue[grid.tube(place, 9 * size, 0.25) & cavity] = hounsfield
    liver = grid.ellipsoid(centre(82, 14, 14), (46, 54, 64) * rng.normal(size, 0.06, 3), 0.10)
    spleen = grid.ellipsoid(centre(-78, -22, 14), (24, 34, 44) * rng.normal(size, 0.08, 3), 0.12) & cavity
    stomach = grid.ellipsoid(centre(-44, 34, 22), (34, 26, 34) * rng.normal(size, 0.08, 3), 0.15) & cavity
    inner = grid.ellipsoid(centre(-44, 34, 22, 1.0), (26, 19, 27) * rng.normal(size, 0.04, 3), 0.15) & stomach
    parenchyma = rng.normal(118, 8)
    liver &= cavity
    tissue[liver] = parenchyma
    lesions = _lesions(grid, liver, seed, index)
    tissue[lesions] = parenchyma - 45
    tissue[stomach] = rng.normal(70, 8)
    tissue[inner] = rng.normal(18, 10)
    tissue[spleen] = parenchyma + rng.normal(14, 7)
    for side in (1, -1):
        tissue[grid.ellipsoid(centre(side * 52, -42, -14), (24, 22, 46) * rng.normal(size, 0.06, 3), 0.06)] = (
            rng.normal(165, 14)
        )
    spine = np.array([0, -62, 0]) * size
    tissue[grid.ellipsoid(spine, (25, 21, 1e4), 0.04)] = rng.normal(420, 60)
    tissue[grid.ellipsoid(spine, (20, 16, 1e4), 0.04)] = rng.normal(190, 25)
    tissue[grid.ellipsoid(centre(-8, -34, 0, 2.0), (10, 10, 1e4), 0.02)] = rng.normal(160, 16)
    tissue[grid.ellipsoid(centre(14, -32, 0, 2.0), (12, 9, 1e4), 0.04)] = rng.normal(125, 12)

    # The head lies beside the duodenum on the right; the tail rises towards the spleen on the left.
    head = centre(30, 2, -16, 5.0)
    path = head + np.array([[0, 0, 0], [-20, 12, 10], [-46, 8, 20], [-74, -10, 30]]) * rng.normal(size, 0.08, (4, 3))
    path[1:] += rng.normal(0, 3.5, (3, 3))
    pancreas_hounsfield = rng.normal(86, 7)
    duodenum = head + np.array([[14, 10, 34], [24, 2, 0], [16, -6, -26]])
    tissue[grid.tube(duodenum, 11 * size, 0.2) & cavity] = pancreas_hounsfield + rng.normal(-26, 8)
    tissue[grid.tube(path + np.array([0, -11, 2]), 4.5, 0.05) & cavity] = rng.normal(140, 10)
    pancreas = grid.tube(path, np.array([18, 14, 13, 12]) * rng.normal(size, 0.10), 0.18) & cavity
    pancreas &= ~(spleen | stomach)
    tissue[pancreas] = pancreas_hounsfield
    # Remove the voxels that later structures cover.
    liver &= np.isin(tissue, np.float32([parenchyma, parenchyma - 45]))
    labels = {"spleen": spleen, "pancreas": pancreas, "liver": liver}
    tumour = np.zeros_like(pancreas)
    if rng.random() < 0.5:
        position = path[rng.integers(0, 3)] + rng.normal(0, 3, 3)
        tumour = grid.ellipsoid(position, np.full(3, rng.uniform(8, 13)), 0.15) & (
            pancreas | ~(spleen | stomach) & cavity
        )
        tissue[tumour] = pancreas_hounsfield - rng.uniform(22, 38)
    tissue += 5 * grid.texture
    return _scan(tissue, rng), _labels(labels, {"pancreas": tumour, "liver": lesions & liver})


def as_mri(voxels: np.ndarray, seed: int, index: int) -> np.ndarray:
    """Convert the CT of a patient to MRI, int16 in arbitrary units. Scale and shading differ between patients."""
    rng = np.random.default_rng([seed, index, 2])
    signal = np.interp(voxels, *zip(*MRI_SIGNAL))
    x, y, _ = np.ogrid[tuple(slice(-1, 1, complex(0, size)) for size in SHAPE)]
    shading = np.exp(rng.normal(0, 0.15) * x + rng.normal(0, 0.15) * y + rng.normal(0, 0.1) * (x**2 + y**2))
    noise = rng.normal(0, 0.03, (2, *SHAPE))
    return np.rint(np.hypot(signal * shading + noise[0], noise[1]) * rng.uniform(200, 1500)).astype("int16")


def _loops(rng, size):
    """Yield bowel loops: short bent tubes in front and below, some with the density of the pancreas."""
    for _ in range(rng.integers(5, 9)):
        start = np.array([rng.uniform(-80, 80), rng.uniform(14, 60), rng.uniform(-45, 35)]) * size
        steps = rng.normal(0, 17, (3, 3)) * (1, 0.6, 1)
        yield np.vstack([start, start + np.cumsum(steps, axis=0)]), rng.choice([rng.normal(74, 12), rng.normal(25, 12)])


def _scan(tissue, rng):
    """Simulate partial volume, the blur of the scanner, and noise."""
    voxels = ndimage.gaussian_filter(_downsample(tissue), (0.6, 0.6, 0.25))
    noise = ndimage.gaussian_filter(rng.normal(0, 1, voxels.shape), (0.6, 0.6, 0))
    voxels = voxels + noise * rng.uniform(12, 18) / noise.std()
    return np.clip(np.rint(voxels), -1024, 3071).astype("int16")


def _lesions(grid, liver, seed, index):
    """One to three round lesions in the liver, drawn with a separate random generator."""
    rng = np.random.default_rng([seed, index, 1])
    inside = np.argwhere(liver)
    lesions = np.zeros_like(liver)
    for _ in range(rng.integers(1, 4)):
        centre = [axis[place] for axis, place in zip(grid.axes, inside[rng.integers(len(inside))])]
        lesions |= grid.ellipsoid(centre, np.full(3, rng.uniform(7, 15)), 0.15)
    return lesions & liver


def _labels(labels, tumours):
    """Labels on the output grid: class 1 is the organ without its tumour, class 2 is the tumour."""
    organs = {name: (_downsample(mask.astype("float32")) >= 0.5).astype("uint8") for name, mask in labels.items()}
    for name, tumour in tumours.items():
        organs[name][_downsample(tumour.astype("float32")) >= 0.5] = 2
    return organs


def _downsample(fine):
    x, y, z = SHAPE
    return fine.reshape(x, SUPERSAMPLING, y, SUPERSAMPLING, z).mean(axis=(1, 3))


def _save(voxels, path):
    affine = np.diag([*SPACING, 1.0])
    affine[:3, 3] = [-(size - 1) / 2 * step for size, step in zip(SHAPE, SPACING)]
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)


class _Grid:
    """Positions of the sub-voxels in millimetres from the centre, and smooth random fields on them."""

    def __init__(self, rng):
        x, y, z = SHAPE
        self.shape = (x * SUPERSAMPLING, y * SUPERSAMPLING, z)
        steps = (SPACING[0] / SUPERSAMPLING, SPACING[1] / SUPERSAMPLING, SPACING[2])
        self.axes = [
            ((np.arange(size) - (size - 1) / 2) * step).astype("float32") for size, step in zip(self.shape, steps)
        ]
        self.coarse = self._field(rng, 14.0)
        self.texture = self._field(rng, 4.0)

    def _field(self, rng, scale_mm):
        """Gaussian random field of unit variance with a correlation length in millimetres."""
        steps = [scale_mm / (axis[1] - axis[0]) for axis in self.axes]
        # The field is drawn on a coarse grid and enlarged, which is much faster and smooth as well.
        small = [max(int(np.ceil(size / max(step, 1.0))) + 2, 3) for size, step in zip(self.shape, steps)]
        field = ndimage.zoom(
            rng.normal(0, 1, small).astype("float32"), [size / n for size, n in zip(self.shape, small)], order=1
        )
        return field[tuple(slice(size) for size in self.shape)] / field.std()

    def ellipsoid(self, centre, radii, irregular):
        """Mask of an ellipsoid with an irregular border, which varies by the share `irregular` of the radius."""
        terms = [((axis - c) / r) ** 2 for axis, c, r in zip(self.axes, centre, radii)]
        distance = np.sqrt(terms[0][:, None, None] + terms[1][None, :, None] + terms[2][None, None, :])
        return distance < 1 + irregular * self.coarse

    def tube(self, path, radius, irregular):
        """Mask of all voxels within `radius` (one number, or one per point) of a polyline, with a lobulated border."""
        radius = np.broadcast_to(np.asarray(radius, dtype="float32"), len(path))
        steps = np.linspace(0, len(path) - 1, 8 * len(path))
        points = np.stack([np.interp(steps, range(len(path)), path[:, axis]) for axis in range(3)], axis=1)
        radii = np.interp(steps, range(len(path)), radius)
        inside = np.zeros(self.shape, dtype=bool)
        reach = float(radii.max()) * (1 + 4 * irregular)
        box = tuple(
            slice(*np.searchsorted(axis, (points[:, i].min() - reach, points[:, i].max() + reach)))
            for i, axis in enumerate(self.axes)
        )
        x, y, z = (axis[part] for axis, part in zip(self.axes, box))
        nearest = np.full((len(x), len(y), len(z)), np.inf, dtype="float32")
        for (px, py, pz), r in zip(points, radii):
            squared = (
                ((x - px) / r)[:, None, None] ** 2
                + ((y - py) / r)[None, :, None] ** 2
                + ((z - pz) / r)[None, None, :] ** 2
            )
            np.minimum(nearest, squared, out=nearest)
        inside[box] = np.sqrt(nearest) < 1 + irregular * (0.5 * self.coarse[box] + 0.5 * self.texture[box])
        return inside
