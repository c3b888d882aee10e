"""Random changes of an image and its mask, together."""

import math

import numpy as np

from experiments.recorded import recorded
from keras_uq._optional import require

SHARE = 0.15


@recorded("yeung2021")
def augment(image, mask, seed):
    """One augmented image and mask.

    Scaling by 0.85 to 1.25, rotation by up to 15 degrees, elastic deformation (alpha 0 to 900, sigma 9 to 13), and
    brightness times 0.5 to 2 for each channel: each for 15 in 100 images. Each axis is mirrored for half of them. The
    image is moved by cubic splines, the mask by nearest neighbour, both by the same field; the border is 0.

    Args:
        image: `(height, width, channels)`, float32.
        mask: `(height, width, 1)`, uint8.
        seed: Non-negative integers; equal ones give equal results.

    Reference:
        Yeung et al. (2021), Section III-B, with the library and the settings of the published code.
    """
    transforms = "batchgenerators.transforms"
    colour, spatial = (
        require(f"{transforms}.{name}_transforms", extra="augment", purpose="Augmentation")
        for name in ("color", "spatial")
    )
    angle = 15 / 180 * math.pi
    steps = (
        spatial.MirrorTransform(axes=(0, 1)),
        colour.BrightnessMultiplicativeTransform(multiplier_range=(0.5, 2), per_channel=True, p_per_sample=SHARE),
        spatial.SpatialTransform(
            image.shape[:2],
            [side // 2 for side in image.shape[:2]],
            do_elastic_deform=True,
            alpha=(0.0, 900.0),
            sigma=(9.0, 13.0),
            do_rotation=True,
            angle_x=(-angle, angle),
            do_scale=True,
            scale=(0.85, 1.25),
            border_mode_data="constant",
            border_cval_data=0,
            border_mode_seg="constant",
            border_cval_seg=0,
            order_data=3,
            order_seg=0,
            random_crop=False,
            p_el_per_sample=SHARE,
            p_rot_per_sample=SHARE,
            p_scale_per_sample=SHARE,
        ),
    )
    batch = {
        "data": image.transpose(2, 0, 1)[np.newaxis].astype("float32"),
        "seg": mask.transpose(2, 0, 1)[np.newaxis].astype("float32"),
    }
    state = np.random.get_state()
    # The library draws from NumPy's global generator.
    np.random.seed(np.random.SeedSequence(seed).generate_state(1)[0])
    try:
        for step in steps:
            batch = step(**batch)
    finally:
        np.random.set_state(state)
    image, mask = (batch[name][0].transpose(1, 2, 0) for name in ("data", "seg"))
    return np.ascontiguousarray(image, dtype="float32"), np.ascontiguousarray(mask).astype("uint8")
