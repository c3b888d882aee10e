"""Speed, side by side in one run, as ratios: sampling, windows, data preparation, losses, refreshes of epsilon.

    python -m experiments.benchmarks            all of it, written to results/benchmarks
    python -m experiments.benchmarks sampling   one part

Contenders take turns, and what is compared is the median over rounds of their ratio, so that a busy machine disturbs
all alike.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from experiments.machine import machine
from keras_uq import losses, models
from keras_uq.callbacks import AdaptiveEpsilon, PerImageData
from keras_uq.files import write_text
from keras_uq.inference import MCDropout, SlidingWindow
from keras_uq.preprocessing import Preprocessing, read_nifti

RESULTS = Path("results/benchmarks")
WINDOW = (64, 64, 64)


def main(arguments=None):
    """Run the parts named, print them, write them. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="parts to run (all)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender (5)")
    parser.add_argument("--peak-memory", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.peak_memory:
        kind, samples = options.peak_memory
        print(_peak_memory(kind, int(samples)))
        return 0
    here = machine()
    result = {"machine": here}
    for part in options.parts or PARTS:
        result[part] = PARTS[part](options.rounds)
        print(f"{part}: {json.dumps(result[part], indent=2)}", flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    accelerator = "gpu" if here["hardware"]["accelerators"] else f"cpu{here['hardware']['cores']}"
    path = RESULTS / f"{here['backend']}-{accelerator}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    write_text(path, json.dumps({**known, **result}, indent=2) + "\n")
    return 0


def sampling(rounds):
    """T = 20 samples of eight images of 256 x 256 with the U-Net of Kethavath et al. (2025)."""
    images = np.random.default_rng(0).random((8, 256, 256, 1)).astype("float32")
    model = models.kethavath2025()
    shared, own = (MCDropout(model, samples=20, seed=0, shared=shared) for shared in (True, False))
    contenders = {
        "20 deterministic passes": lambda: [model.predict_on_batch(images) for _ in range(20)],
        "MCDropout": lambda: shared.predict(images),
        "MCDropout, masks of its own for each image": lambda: own.predict(images),
        "plain eager loop": lambda: [np.asarray(model(images, training=True)) for _ in range(20)],
    }
    turns = take_turns(contenders, rounds)
    result = {
        "seconds": medians(turns),
        "speed-up over the plain eager loop": ratio(turns, "plain eager loop", "MCDropout"),
        "cost against deterministic passes": ratio(turns, "MCDropout", "20 deterministic passes"),
    }
    if sys.platform == "linux":
        peak = {samples: _measure_peak_memory("sampling", samples) for samples in (20, 200)}
        result["peak memory in MiB"] = {f"T={samples}": round(size / 1024) for samples, size in peak.items()}
        result["peak memory T=200 against T=20"] = round(peak[200] / peak[20], 3)
    return result


def windows(rounds):
    """A volume of 256 x 256 x 64 in windows of 64 voxels a side, 3D U-Net of 8 filters, one sample."""
    model, volume = _window_case()
    plain = SlidingWindow(model, WINDOW)
    corners = plain.corners(volume.shape[1:-1])
    cuts = [volume[:, z : z + WINDOW[0], y : y + WINDOW[1], x : x + WINDOW[2]] for z, y, x in corners]
    sampled = {
        consistent: SlidingWindow(MCDropout(model, samples=1, seed=0), WINDOW, consistent=consistent)
        for consistent in (True, False)
    }
    contenders = {
        "the network alone, window by window": lambda: [model.predict_on_batch(part) for part in cuts],
        "deterministic": lambda: plain.predict(volume),
        "one sample, consistent": lambda: sampled[True].predict(volume),
        "one sample, masks of the window": lambda: sampled[False].predict(volume),
    }
    turns = take_turns(contenders, rounds)
    base = "the network alone, window by window"
    result = {
        "windows": len(corners),
        "seconds a window": {name: round(value / len(corners), 4) for name, value in medians(turns).items()},
        "cost against the network alone": {name: ratio(turns, name, base) for name in contenders if name != base},
    }
    if sys.platform == "linux":
        peak = {samples: _measure_peak_memory("windows", samples) for samples in (2, 20)}
        result["peak memory in MiB"] = {f"T={samples}": round(size / 1024) for samples, size in peak.items()}
        result["peak memory T=20 against T=2"] = round(peak[20] / peak[2], 3)
    return result


def preparation(rounds):
    """One CT of 512 x 512 x 96: read, window, median 3 x 3, resize to 256 x 256."""
    import nibabel
    from scipy import ndimage

    steps = Preprocessing(window=(300, 150), median=3, size=(256, 256))
    rng = np.random.default_rng(0)
    smooth = ndimage.zoom(rng.normal(0, 120, (32, 32, 24)), (16, 16, 4), order=1)
    voxels = (smooth + rng.normal(0, 15, smooth.shape)).astype("int16")

    def ours(path):
        scan = read_nifti(path)
        return steps.image(scan.voxels, scan.affine)[0]

    def plain(path):
        image = nibabel.load(path)
        volume = nibabel.as_closest_canonical(image).get_fdata()
        volume = np.clip(volume, 0, 300) / 300
        volume = ndimage.median_filter(volume, size=(3, 3, 1))
        return ndimage.zoom(volume, (0.5, 0.5, 1), order=1)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, np.diag([0.8, 0.8, 2.5, 1.0])), path)
        contenders = {
            "keras_uq": lambda: ours(path),
            "float64 NumPy and SciPy": lambda: plain(path),
            "reading alone": lambda: read_nifti(path),
        }
        turns = take_turns(contenders, rounds)
    return {
        "seconds a volume": medians(turns),
        "speed-up": ratio(turns, "float64 NumPy and SciPy", "keras_uq"),
    }


def training_step(rounds):
    """One training step of the U-Net with each loss, eight images of 256 x 256, relative to Keras's cross-entropy."""
    rng = np.random.default_rng(0)
    images = rng.random((8, 256, 256, 1)).astype("float32")
    masks = (rng.random(images.shape) < 0.1).astype("float32")
    contenders = {}
    for loss in (
        keras.losses.BinaryCrossentropy(name="keras.BinaryCrossentropy"),
        losses.BinaryCrossentropy(),
        losses.Dice(over="batch"),
        losses.LogCosh(),
        losses.Tversky(alpha=0.3, beta=0.7, over="batch"),
        losses.FocalTversky(over="batch"),
        losses.LogDice(over="batch"),
        losses.Jaccard(over="batch"),
        losses.SSIM(),
        losses.Hybrid(over="batch"),
        losses.DicePlusPlus(),
        losses.Combo(),
        losses.UnifiedFocal(penalty_gamma=2.0),
        losses.PolyDice(),
    ):
        model = models.kethavath2025()
        model.compile(keras.optimizers.Adam(1e-3), loss=loss)
        contenders[loss.name] = lambda model=model: model.train_on_batch(images, masks)
    turns = take_turns(contenders, 3 * rounds)
    return {"seconds": medians(turns), "cost": {name: ratio(turns, name, "keras.BinaryCrossentropy") for name in turns}}


def refresh(rounds):
    """Refreshes of `AdaptiveEpsilon`, ten samples of 256 images of 64 x 64 or of a quarter of them, and an epoch."""
    rng = np.random.default_rng(0)
    images = rng.random((256, 64, 64, 1)).astype("float32")
    data = PerImageData(images, (images > 0.7).astype("float32"), batch_size=8)
    model = models.kethavath2025((64, 64, 1), filters=8)
    model.compile(keras.optimizers.Adam(1e-3), loss=losses.PolyDice(epsilon="per_image"))
    contenders = {"an epoch of training": lambda: model.fit(data, shuffle=False, verbose=0)}
    for subset in (1.0, 0.25):
        control = AdaptiveEpsilon(data, samples=10, subset=subset)
        control.set_model(model)
        control.on_train_begin()
        contenders[f"a refresh, subset={subset:g}"] = lambda control=control: control.refresh(1)
    turns = take_turns(contenders, rounds)
    whole, quarter = "a refresh, subset=1", "a refresh, subset=0.25"
    return {
        "seconds": medians(turns),
        "cost against an epoch": {name: ratio(turns, name, "an epoch of training") for name in (whole, quarter)},
        "cost of a quarter against all": ratio(turns, quarter, whole),
    }


PARTS = {
    "sampling": sampling,
    "windows": windows,
    "preparation": preparation,
    "training_step": training_step,
    "refresh": refresh,
}


def take_turns(contenders, rounds):
    """Seconds of each contender in each round, after one call of each that does not count; rounds start elsewhere."""
    for contender in contenders.values():
        contender()
    names = list(contenders)
    seen = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            contenders[name]()
            seen[name].append(time.perf_counter() - start)
    return seen


def medians(turns):
    """Median seconds of each contender."""
    return {name: round(statistics.median(values), 4) for name, values in turns.items()}


def ratio(turns, name, base):
    """Median over the rounds of how long `name` took against `base`."""
    return round(statistics.median(a / b for a, b in zip(turns[name], turns[base])), 3)


def _window_case():
    """A network and a volume."""
    model = models.zhang2025((None, None, None, 1), filters=8, encoder_dropout=0.1, decoder_dropout=0.1)
    return model, np.random.default_rng(0).random((1, 64, 256, 256, 1)).astype("float32")


def _measure_peak_memory(kind, samples):
    command = [sys.executable, "-m", "experiments.benchmarks", "--peak-memory", kind, str(samples)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def _peak_memory(kind, samples):
    """Peak resident memory in KiB of a process that samples 24 images of 256 x 256, or the volume of `windows`."""
    if kind == "windows":
        model, volume = _window_case()
        SlidingWindow(MCDropout(model, samples=samples, seed=0), WINDOW).predict(volume)
    else:
        images = np.random.default_rng(0).random((24, 256, 256, 1)).astype("float32")
        MCDropout(models.kethavath2025(), samples=samples, seed=0).predict(images)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
