"""The cases that a table is trained and tested on, as every part of the experiments sees them."""

import contextlib
import hashlib
import json
import shutil

import numpy as np

from data_prep.prepared import DamagedData, Prepared
from keras_uq.files import BadFile, read, write_text

# File of a prepared folder that notes which arrays were compared with their sha256, and when.
VERIFIED = "verified.json"
PARTS = ("train", "validation", "test")


class Cases(Prepared):
    """A prepared dataset under a name.

    Args:
        folder: The prepared folder.
        name: Of the dataset, as in `--dataset`.
        modality: Of the scans.
        shifted: `Cases` of scans unlike those of the training, or `None`.
    """

    def __init__(self, folder, name, modality, shifted=None):
        super().__init__(folder)
        self.name = name
        self.modality = modality
        self.shifted = shifted
        self._verified = False

    def verify_once(self):
        """Compare all arrays with the fingerprint, unless a process did so and no file has been written since.

        Raises:
            DamagedData: If one differs. The folder is then deleted, so that the next command prepares it again.
        """
        if self._verified:
            return
        path = self.folder / VERIFIED
        try:
            noted = read(path)
        except (BadFile, OSError):
            noted = None
        try:
            stamps = self.verify(noted)
        except DamagedData as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise DamagedData(f"{error} It was deleted: the same command prepares the data again.") from error
        if stamps != noted:
            with contextlib.suppress(OSError):  # Without the note, the next process reads the arrays again.
                write_text(path, json.dumps(stamps))
        self._verified = True
        if self.shifted is not None:
            self.shifted.verify_once()

    @property
    def channels(self):
        return self.image(self.split["train"][0]).shape[-1]

    def spacing(self, case):
        """Voxel sizes in millimetres `(z, y, x)`; in pixels for pictures, which have none."""
        try:
            return super().spacing(case)
        except KeyError:
            return (1.0, 1.0, 1.0)


class SliceSplit(Cases):
    """A prepared dataset split over slices, whoever they belong to. It LEAKS: a patient is in several sets at once.

    Kethavath et al. (2025) print counts that such a split would give on ATLAS23 (3,795 of 4,744 slices are 80 % to
    within one slice). It is here to measure what that does to a test score, and for nothing else.

    A fifth of all slices is for the test, a tenth of the rest for validation. A case is called `<case>/<set>` and holds
    that case's slices of that set.
    """

    def __init__(self, folder, name, modality):
        super().__init__(folder, name, modality)
        self.fingerprint = hashlib.sha256(f"{self.fingerprint} slices 0".encode()).hexdigest()
        cases = sorted(case for names in self.split.values() for case in names)
        owners = [(case, at) for case in cases for at in range(len(super(SliceSplit, self).image(case)))]
        order = np.random.default_rng(0).permutation(len(owners))
        tests = round(0.2 * len(owners))
        validations = round(0.1 * (len(owners) - tests))
        chosen = np.split(order, [tests, tests + validations])
        self._slices = {}
        for part, positions in zip(("test", "validation", "train"), chosen):
            for position in sorted(positions):
                case, at = owners[position]
                self._slices.setdefault(f"{case}/{part}", []).append(at)
        self.split = {part: [name for name in self._slices if name.endswith(f"/{part}")] for part in PARTS}

    def image(self, case):
        """Slices of a case in a set, float32 `(slices, height, width, channels)`, read when asked for."""
        return _Selection(super().image(_case(case)), self._slices[case])

    def mask(self, case):
        """Their masks, uint8 `(slices, height, width, 1)`."""
        return _Selection(super().mask(_case(case)), self._slices[case])

    def spacing(self, case):
        """Voxel sizes of the scan; between the slices of a set there are others, so `z` is a lower bound."""
        return super().spacing(_case(case))


def _case(name):
    return name.rpartition("/")[0]


class _Selection:
    """Some slices of a memory map, without reading the rest."""

    def __init__(self, volume, slices):
        self.volume = volume
        self.slices = slices
        self.shape = (len(slices), *volume.shape[1:])

    def __len__(self):
        return len(self.slices)

    def __getitem__(self, at):
        return self.volume[self.slices[at]]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.volume[self.slices], dtype=dtype)
