"""Fixtures of all tests: where real data are, and scans written for one test."""

import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

# The tests themselves run side by side.
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def real_data():
    """Folder of the real datasets; the test is skipped where `KERAS_UQ_DATA` is unset."""
    folder = os.environ.get("KERAS_UQ_DATA")
    if not folder:
        pytest.skip("KERAS_UQ_DATA is not set")
    return Path(folder)


@pytest.fixture
def write_scan(tmp_path):
    """Write an array as NIfTI: `write_scan(array, name="scan.nii.gz", zooms=(1, 1, 1), flip_x=False)` -> path."""

    def write(array, name="scan.nii.gz", zooms=(1.0, 1.0, 1.0), flip_x=False, folder=None):
        affine = np.diag([*zooms, 1.0])
        if flip_x:
            affine[0, 0] *= -1
        affine[:3, 3] = (-10.0, 20.0, -30.0)
        image = nibabel.Nifti1Image(array, affine)
        image.header.set_xyzt_units("mm", "sec")
        path = (folder or tmp_path) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(image, path)
        return path

    return write
