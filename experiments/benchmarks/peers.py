"""Speed and memory beside the peers, who live in an environment of their own.

    python -m experiments.benchmarks.peers .venv-peers/bin/python

Every call has a process of its own, contenders take turns, and what is compared is the median over rounds of their
ratio. This file is also what a process runs, so it imports nothing but NumPy until it is told what to call.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROUNDS = 5
SPACING = (2.5, 0.8, 0.8)
VOXELS = 2 * 10**8
CHUNK = 10**7
BINS = 10


def hd95_ours(mask, predicted):
    """keras_uq.metrics.hausdorff95."""
    from keras_uq.metrics import hausdorff95

    return lambda: hausdorff95(mask, predicted, SPACING)


def hd95_monai(mask, predicted):
    """monai.metrics.compute_hausdorff_distance."""
    import torch
    from monai.metrics import compute_hausdorff_distance

    pair = [torch.from_numpy(of[np.newaxis, np.newaxis]) for of in (predicted, mask)]
    return lambda: float(
        compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=list(SPACING))
    )


def hd95_surface_distance(mask, predicted):
    """surface_distance.compute_robust_hausdorff."""
    import surface_distance

    def call():
        distances = surface_distance.compute_surface_distances(mask, predicted, SPACING)
        return surface_distance.compute_robust_hausdorff(distances, 95)

    return call


def hd95_medpy(mask, predicted):
    """medpy.metric.binary.hd95, the percentile of both directions together."""
    from medpy.metric.binary import hd95

    return lambda: float(hd95(predicted, mask, voxelspacing=SPACING))


def ece_ours(p, labels):
    """keras_uq.metrics.Calibration, which sums likelihood and Brier score as well."""
    from keras_uq.metrics import Calibration

    def call():
        found = Calibration()
        for start in range(0, len(p), CHUNK):
            found.add(labels[start : start + CHUNK], p[start : start + CHUNK, np.newaxis])
        return found.ece(BINS, "foreground")

    return call


def ece_torchmetrics(p, labels):
    """torchmetrics.classification.BinaryCalibrationError."""
    import torch
    from torchmetrics.classification import BinaryCalibrationError

    def call():
        metric = BinaryCalibrationError(n_bins=BINS, norm="l1")
        for start in range(0, len(p), CHUNK):
            metric.update(torch.from_numpy(p[start : start + CHUNK]), torch.from_numpy(labels[start : start + CHUNK]))
        return float(metric.compute())

    return call


CONTENDERS = {
    "hd95": {
        "keras_uq": hd95_ours,
        "MONAI": hd95_monai,
        "surface-distance": hd95_surface_distance,
        "MedPy (pooled)": hd95_medpy,
    },
    "ece": {"keras_uq": ece_ours, "torchmetrics": ece_torchmetrics},
}
# What the first call of a process pays for.
SMALL = {
    "hd95": (np.eye(20, dtype=bool)[np.newaxis].repeat(5, axis=0),) * 2,
    "ece": (np.linspace(0, 1, 100, dtype="float32"), np.ones(100, dtype="uint8")),
}


def main(arguments=None):
    """Compare, print, write. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks.peers", description=__doc__.splitlines()[0])
    parser.add_argument("peers", help="python of the environment that the peers live in")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each contender ({ROUNDS})")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.worker:
        print(json.dumps(_worker(*options.worker, options.peers)))
        return 0

    from experiments.benchmarks.speed import RESULTS, medians, ratio
    from experiments.machine import machine
    from keras_uq.files import write_text

    result = {"machine": machine(), "peers": _versions(options.peers)}
    with tempfile.TemporaryDirectory() as folder:
        for kind, make in {"hd95": write_masks, "ece": write_probabilities}.items():
            make(Path(folder))
            found = _take_turns(kind, folder, options.peers, options.rounds)
            turns = {name: [of["seconds"] for of in each] for name, each in found.items()}
            result[kind] = {
                "seconds": medians(turns),
                "peak memory of the call in MiB": {
                    name: round(statistics.median(of["mebibytes"] for of in each)) for name, each in found.items()
                },
                "value": {name: each[0]["value"] for name, each in found.items()},
                "time against keras_uq": {name: ratio(turns, name, "keras_uq") for name in turns},
            }
            print(f"{kind}: {json.dumps(result[kind], indent=2)}", flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    write_text(RESULTS / "peers.json", json.dumps(result, indent=2) + "\n")
    return 0


def write_masks(folder):
    """Two liver-like masks in 512 x 512 x 100."""
    z, y, x = np.ogrid[:100, :512, :512]
    for name, (dz, dy, dx), (rz, ry, rx) in (
        ("0", (50, 230, 200), (40, 110, 140)),
        ("1", (52, 236, 205), (38, 108, 143)),
    ):
        ripple = 0.05 * np.sin(x / 9) * np.cos(y / 11)
        np.save(folder / f"{name}.npy", ((z - dz) / rz) ** 2 + ((y - dy) / ry) ** 2 + ((x - dx) / rx) ** 2 + ripple < 1)


def write_probabilities(folder):
    """2 x 10^8 probabilities, most of them sure, and labels that are somewhat less so."""
    rng = np.random.default_rng(0)
    p = np.lib.format.open_memmap(folder / "0.npy", "w+", "float32", (VOXELS,))
    labels = np.lib.format.open_memmap(folder / "1.npy", "w+", "uint8", (VOXELS,))
    for start in range(0, VOXELS, CHUNK):
        part = slice(start, start + CHUNK)
        p[part] = rng.beta(0.1, 0.3, CHUNK).astype("float32")
        labels[part] = rng.random(CHUNK) < 0.1 + 0.8 * p[part]


def _take_turns(kind, folder, peers, rounds):
    names = list(CONTENDERS[kind])
    found = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            python = sys.executable if name == "keras_uq" else peers
            module = ["-m", "experiments.benchmarks.peers"] if name == "keras_uq" else [__file__]
            command = [python, *module, str(folder), "--worker", kind, name]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    return found


def _worker(kind, name, folder):
    """Seconds, growth of the peak memory and value of one call, after a small one."""
    make = CONTENDERS[kind][name]
    make(*SMALL[kind])()
    inputs = [np.load(Path(folder) / f"{number}.npy") for number in (0, 1)]
    call = make(*inputs)
    Path("/proc/self/clear_refs").write_text("5")  # The peak starts from what is in use now.
    before = _kibibytes("VmRSS")
    start = time.perf_counter()
    value = call()
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "mebibytes": (_kibibytes("VmHWM") - before) / 1024, "value": value}


def _kibibytes(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{name}:")))


def _versions(python):
    code = (
        "import importlib.metadata as m, json; print(json.dumps({n: m.version(n) for n in "
        "('monai', 'surface-distance-based-measures', 'medpy', 'torchmetrics', 'torch', 'numpy', 'scipy')}))"
    )
    return json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    sys.exit(main())
