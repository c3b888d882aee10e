"""The paper's formulas against numbers worked out by hand."""

import json

import numpy as np
import pytest

from keras_uq import losses
from tests.reference import VALUES, checks, tensors


def ident(check):
    return check["id"]


def close(loss, check, rtol=2e-5):
    np.testing.assert_allclose(np.mean(loss), check["expected"], rtol=rtol)


@pytest.mark.parametrize("check", [c for c in checks("dice_loss") if c["paper"] == "kethavath2025"], ids=ident)
def test_dice(check):
    over = "batch" if "whole" in str(check["params"].get("reduction")) else "image"
    close(losses.dice(*tensors(check), check["params"]["eps"], over=over), check)


@pytest.mark.parametrize("check", checks("tversky_loss"), ids=ident)
def test_tversky(check):
    alpha, beta, smooth = (check["params"][name] for name in ("alpha_fp", "beta_fn", "eps"))
    close(losses.tversky(*tensors(check), alpha, beta, smooth), check)


@pytest.mark.parametrize("check", checks("focal_tversky_loss"), ids=ident)
def test_focal_tversky(check):
    alpha, beta, exponent, smooth = (check["params"][name] for name in ("alpha_fp", "beta_fn", "exponent", "eps"))
    close(losses.focal_tversky(*tensors(check), alpha, beta, exponent, smooth), check)


@pytest.mark.parametrize("check", checks("log_dice_loss"), ids=ident)
def test_log_dice(check):
    close(losses.log_dice(*tensors(check), check["params"]["eps"]), check)


@pytest.mark.parametrize("check", checks("jaccard_loss"), ids=ident)
def test_jaccard(check):
    close(losses.jaccard(*tensors(check), check["params"]["eps"]), check)


@pytest.mark.parametrize("check", checks("log_cosh"), ids=ident)
def test_log_cosh(check):
    close(losses.log_cosh(*tensors(check), voxels=check["params"]["reduction"]), check)


@pytest.mark.parametrize("check", checks("bce"), ids=ident)
def test_binary_crossentropy(check):
    close(losses.binary_crossentropy(*tensors(check), voxels=check["params"]["reduction"]), check)


@pytest.mark.parametrize("check", checks("ssim_index_global"), ids=ident)
def test_ssim_of_the_whole_image(check):
    index = 1 - losses.ssim(*tensors(check), window=None, c1=check["params"]["C1"], c2=check["params"]["C2"])
    close(index, check, rtol=1e-4)


@pytest.mark.parametrize("check", checks("ssim_index_window"), ids=ident)
def test_ssim_in_windows(check):
    padding = check["params"]["padding"].split()[0]
    index = 1 - losses.ssim(*tensors(check), padding=padding, c1=check["params"]["C1"], c2=check["params"]["C2"])
    close(index, check, rtol=1e-4)


@pytest.mark.parametrize("check", checks("hybrid_loss"), ids=ident)
def test_hybrid(check):
    close(losses.hybrid(*tensors(check)), check, rtol=1e-4)


def test_the_values_are_those_of_the_specification():
    assert len(VALUES["checks"]) == 199
    assert json.dumps(VALUES)  # Plain JSON: no NaN slipped in.
    assert all(np.isfinite(np.asarray(check["expected"], dtype="float64")).all() for check in VALUES["checks"])
