"""The cases that a table is trained and tested on, as every part of the experiments sees them."""

import hashlib

import numpy as np

PARTS = ("train", "validation", "test")


class Cases:
    """A prepared dataset under a name.

    Args:
        prepared: `data_prep.prepared.Prepared`.
        name: Of the dataset, as in `--dataset`.
        modality: Of the scans.
        shifted: `Cases` of scans unlike those of the training, or `None`.

    Attributes:
        split: Case names under `train`, `validation` and `test`.
        classes: Channels of a network's output.
        fingerprint: sha256 over configuration, split and arrays.
        description: What the prepared folder says of itself.
    """

    def __init__(self, prepared, name, modality, shifted=None):
        self.prepared = prepared
        self.name = name
        self.modality = modality
        self.shifted = shifted
        self.split = prepared.split
        self.classes = prepared.classes
        self.fingerprint = prepared.fingerprint
        self.description = prepared.description

    @property
    def example(self):
        """Path of the picture of the preprocessing's steps."""
        return self.prepared.folder / "example.npz"

    @property
    def channels(self):
        """Of an image."""
        return self.image(self.split["train"][0]).shape[-1]

    def image(self, case):
        """Float32 `(slices, height, width, channels)`, read when asked for."""
        return self.prepared.image(case)

    def mask(self, case):
        """Its mask, uint8 `(slices, height, width, 1)`."""
        return self.prepared.mask(case)

    def full_mask(self, case):
        """A picture's mask in the size of its file, uint8 `(1, height, width, 1)`."""
        return self.prepared.full_mask(case)

    def spacing(self, case):
        """Voxel sizes in millimetres `(z, y, x)`; in pixels for pictures, which have none."""
        try:
            return self.prepared.spacing(case)
        except KeyError:
            return (1.0, 1.0, 1.0)


class SliceSplit(Cases):
    """A prepared dataset split over slices, whoever they belong to. It LEAKS: a patient is in several sets at once.

    Kethavath et al. (2025) print counts that such a split would give on ATLAS23 (3,795 of 4,744 slices are 80 % to
    within one slice). It is here to measure what that does to a test score, and for nothing else.

    Args:
        prepared, name, modality: As in `Cases`.
        seed: Of the shuffle.
        test: Share of all slices, rounded.
        validation: Share of the rest, rounded.

    A case is called `<case>/<set>` and holds that case's slices of that set.
    """

    def __init__(self, prepared, name, modality, seed=0, test=0.2, validation=0.1):
        super().__init__(prepared, name, modality)
        self.fingerprint = hashlib.sha256(f"{prepared.fingerprint} slices {seed}".encode()).hexdigest()
        cases = sorted(case for names in prepared.split.values() for case in names)
        owners = [(case, at) for case in cases for at in range(len(prepared.image(case)))]
        order = np.random.default_rng(seed).permutation(len(owners))
        tests = round(test * len(owners))
        validations = round(validation * (len(owners) - tests))
        self._slices = {}
        ends = {"test": tests, "validation": tests + validations, "train": len(owners)}
        begin = 0
        for part, end in ends.items():
            for position in sorted(order[begin:end]):
                case, at = owners[position]
                self._slices.setdefault(f"{case}/{part}", []).append(at)
            begin = end
        self.split = {part: [name for name in self._slices if name.endswith(f"/{part}")] for part in PARTS}

    def image(self, case):
        """Slices of a case in a set, float32 `(slices, height, width, channels)`, read when asked for."""
        return _Selection(self.prepared.image(_case(case)), self._slices[case])

    def mask(self, case):
        """Their masks, uint8 `(slices, height, width, 1)`."""
        return _Selection(self.prepared.mask(_case(case)), self._slices[case])

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
