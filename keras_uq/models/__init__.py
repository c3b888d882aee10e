"""The U-Net of every paper: one builder, and the papers' networks as named calls of it."""

from keras_uq.models.papers import kethavath2025, mehrtash2020, yeung2021, zhang2025
from keras_uq.models.unet import unet

__all__ = ["kethavath2025", "mehrtash2020", "unet", "yeung2021", "zhang2025"]
