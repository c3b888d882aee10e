"""Build U-Nets in 2D and 3D: a general builder, and one function per paper that calls it with the paper's settings."""

from keras_uq.models.papers import kethavath2025, mehrtash2020, yeung2021, zhang2025
from keras_uq.models.unet import unet

__all__ = ["kethavath2025", "mehrtash2020", "unet", "yeung2021", "zhang2025"]
