"""Archives for tests, in the official layout with its traps."""

import io
import json
import tarfile

import nibabel
import numpy as np
import pytest


@pytest.fixture
def make_task(tmp_path):
    """Write a task in Decathlon layout, as the official archives have it.

    Traps included: hidden `._*` companions, the misspelt release key, test entries that are strings, names without
    leading zeros, and an image that is in no list.
    """

    def make(
        name="Task09_Spleen",
        cases=12,
        shape=(20, 18, 6),
        change=None,
        labels=("background", "spleen"),
        pattern="spleen_{}",
        numbers=None,
    ):
        folder = tmp_path / name
        for part in ("imagesTr", "labelsTr", "imagesTs"):
            (folder / part).mkdir(parents=True)
        training = []
        for number in numbers or range(1, cases + 1):
            rng = np.random.default_rng(number)
            label = np.zeros(shape, "uint8")
            label[4:12, 5:11, 1:5] = 1
            if len(labels) > 2:
                label[6:8, 6:8, 2:4] = 2
            image = (rng.normal(-100, 20, shape) + 220 * (label > 0)).astype("int16")
            arrays = {"image": image, "label": label, "affine": np.diag([0.8, 0.8, 5.0, 1.0])}
            if change:
                change(number, arrays)
            file = f"{pattern.format(number)}.nii.gz"
            affine = arrays["affine"]
            nibabel.save(nibabel.Nifti1Image(arrays["image"], affine), folder / "imagesTr" / file)
            label_image = nibabel.Nifti1Image(arrays["label"], arrays.get("label_affine", affine))
            nibabel.save(label_image, folder / "labelsTr" / file)
            (folder / "imagesTr" / f"._{file}").write_bytes(b"Mac OS X resource fork")
            training.append({"image": f"./imagesTr/{file}", "label": f"./labelsTr/{file}"})
        (folder / "imagesTr" / "forgotten.nii.gz").write_bytes(b"in no list")
        (folder / "dataset.json").write_text(
            json.dumps(
                {
                    "name": "Spleen",
                    "relase": "1.0",
                    "modality": {"0": "CT"},
                    "labels": {str(value): text for value, text in enumerate(labels)},
                    "training": training[::-1],
                    "test": ["./imagesTs/spleen_90.nii.gz"],
                }
            )
        )
        return folder

    return make


@pytest.fixture
def make_tar(tmp_path):
    """Write a tar archive of `(name, content)` pairs or ready `TarInfo` objects."""

    def make(members, name="archive.tar"):
        path = tmp_path / name
        with tarfile.open(path, "w") as tar:
            for member in members:
                if isinstance(member, tarfile.TarInfo):
                    tar.addfile(member)
                else:
                    info = tarfile.TarInfo(member[0])
                    info.size = len(member[1])
                    tar.addfile(info, io.BytesIO(member[1]))
        return path

    return make
