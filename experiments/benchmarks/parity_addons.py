"""Compare with tensorflow-addons, the papers' stack, which cannot be imported beside Keras 3.

    make parity-addons

The other package runs in an environment of its own and leaves its results in a file. Compared are the instance
normalisation of `models.unet`, the focal cross-entropy of `losses.asymmetric_focal` and the median filter of
`keras_uq.preprocessing`.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

THEIRS = """
import sys
import numpy as np
import tensorflow_addons as tfa

given = np.load(sys.argv[1])
norm = tfa.layers.InstanceNormalization(epsilon=1e-3)
norm.build(given["images"].shape)
norm.gamma.assign(given["gamma"])
norm.beta.assign(given["beta"])
focal, plain = (
    tfa.losses.sigmoid_focal_crossentropy(given["labels"], given["probabilities"], alpha=0.4, gamma=gamma)
    for gamma in (0.7, 0.0)
)
# Ours is focused for the background alone; theirs has alpha on the foreground.
per_pixel = np.where(given["labels"][..., 0] > 0, plain / 0.4 * 0.6, focal / 0.6 * 0.4)
median = tfa.image.median_filter2d(given["picture"], (3, 3), padding="SYMMETRIC")
np.savez(sys.argv[2], norm=norm(given["images"]).numpy(), median=median.numpy(), focal=per_pixel.mean(axis=(1, 2)))
"""
TOLERANCE = {"norm": 2e-6, "median": 1e-6, "focal": 1e-6}


def main(arguments=None):
    """Print the largest differences; the exit status is 1 if one is above its tolerance."""
    (python,) = arguments or sys.argv[1:]
    rng = np.random.default_rng(0)
    given = {
        "images": rng.normal(3, 2, (2, 16, 24, 5)).astype("float32"),
        "gamma": rng.normal(1, 0.1, 5).astype("float32"),
        "beta": rng.normal(0, 0.1, 5).astype("float32"),
        "labels": (rng.random((2, 16, 24, 1)) < 0.3).astype("float32"),
        "probabilities": rng.uniform(0.02, 0.98, (2, 16, 24, 1)).astype("float32"),
        "picture": rng.integers(-200, 400, (1, 64, 48, 1)).astype("float32"),
    }
    with tempfile.TemporaryDirectory() as folder:
        sent, received = Path(folder) / "given.npz", Path(folder) / "theirs.npz"
        np.savez(sent, **given)
        subprocess.run([python, "-W", "ignore", "-c", THEIRS, sent, received], check=True, capture_output=True)
        theirs = dict(np.load(received))
    ours = {"norm": _norm(given), "median": _median(given["picture"]), "focal": _focal(given)}
    status = 0
    for name, tolerance in TOLERANCE.items():
        difference = float(np.abs(ours[name] - theirs[name]).max())
        verdict = "agree" if difference <= tolerance else "DIFFER"
        status = status or int(difference > tolerance)
        print(f"{name}: largest difference {difference:.2g}, tolerance {tolerance:.2g}: {verdict}")
    return status


def _norm(given):
    import keras

    # The layer that `models.unet(norm="instance")` uses, as it builds it.
    from keras_uq.models import unet

    (layer,) = [
        layer for layer in unet((16, 24, 1), filters=(5, 5), norm="instance").layers if layer.name == "encoder1_norm1"
    ]
    layer.gamma.assign(given["gamma"])
    layer.beta.assign(given["beta"])
    return keras.ops.convert_to_numpy(layer(given["images"]))


def _focal(given):
    import keras

    from keras_uq.losses import asymmetric_focal

    return keras.ops.convert_to_numpy(asymmetric_focal(given["labels"], given["probabilities"], delta=0.6, gamma=0.7))


def _median(picture):
    from keras_uq.preprocessing import Preprocessing

    image, _ = Preprocessing(orientation=None, median=3).image(picture[0].transpose(1, 0, 2), np.eye(4))
    return image


if __name__ == "__main__":
    sys.exit(main())
