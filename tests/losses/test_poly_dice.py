"""Hiroike (2026): worked values, the identities behind them, and an epsilon of its own for each image."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_uq import losses
from keras_uq.losses import PolyDice, poly_dice
from keras_uq.losses.poly_dice import squared_angle
from tests.losses.test_every_loss import gradient, random_pair, with_and_without_jit
from tests.reference import VALUES, tensors

CHECKS = {check["id"]: check for check in VALUES["checks"] if check["paper"] == "hiroike2026"}


def of(kind):
    return [check for name, check in CHECKS.items() if name.startswith(f"h.{kind}.")]


def mean(values):
    return np.mean(ops.convert_to_numpy(values))


def value(check, **options):
    return float(ops.convert_to_numpy(poly_dice(*tensors(check), **options))[0])


@pytest.mark.parametrize(
    "check",
    [c for kind in ("polydice1", "polydice2", "polydice3", "polydice_full") for c in of(kind)],
    ids=lambda check: check["id"],
)
def test_paper_values(check):
    if check["id"].endswith("perfect"):
        labels = tensors({**check, "input": "A"})[0]
        assert abs(float(poly_dice(labels, labels, epsilon=0.5)[0])) < 1e-6
        return
    options = {name: check["params"][name] for name in ("epsilon", "order") if name in check["params"]}
    np.testing.assert_allclose(value(check, **options), check["expected"], rtol=2e-5)


@pytest.mark.parametrize("check", of("polydice1_printed_s"), ids=lambda check: check["id"])
def test_paper_values_with_the_printed_scale(check):
    got = value(check, epsilon=check["params"]["epsilon"], scale="printed")
    np.testing.assert_allclose(got, check["expected"], rtol=2e-5)


@pytest.mark.parametrize("check", of("grad.polydice1"), ids=lambda check: check["id"])
def test_paper_gradients(check):
    slope = gradient(PolyDice(epsilon=check["params"]["epsilon"]), *tensors(check))
    np.testing.assert_allclose(slope[0, ..., 0], check["expected"], rtol=1e-4)


def test_the_squared_angle_and_its_slope():
    z = np.array(CHECKS["h.theta2_of_z"]["params"]["z"], "float32")
    np.testing.assert_allclose(squared_angle(ops.convert_to_tensor(z)), CHECKS["h.theta2_of_z"]["expected"], rtol=2e-6)

    class Angle(losses.SegmentationLoss):
        function = staticmethod(lambda y_true, y_pred, **options: squared_angle(y_pred))

    slope = gradient(Angle(name="angle"), z[:, None, None], z[:, None, None], mask=None)
    np.testing.assert_allclose(slope[:, 0, 0], CHECKS["h.dtheta2_dz"]["expected"], rtol=1e-5)
    # No seam where the series ends.
    around = np.float32(0.05) + np.linspace(-1e-4, 1e-4, 21, dtype="float32")
    angles = squared_angle(ops.convert_to_tensor(around))
    np.testing.assert_allclose(angles, np.arccos(1 - around.astype("float64")) ** 2, rtol=2e-6)


def test_all_terms_are_the_dice_loss():
    for shape in ((3, 14, 13, 1), (2, 5, 12, 7, 3)):
        y_true, y_pred = random_pair(shape)
        whole = poly_dice(y_true, y_pred, order=None)
        np.testing.assert_allclose(whole, losses.dice(y_true, y_pred, squared=True), rtol=1e-5)
        np.testing.assert_allclose(whole, losses.dice_plus_plus(y_true, y_pred, gamma=2), rtol=1e-5)
        np.testing.assert_allclose(poly_dice(y_true, y_pred, order=8), whole, rtol=1e-5)
        printed = np.asarray(poly_dice(y_true, y_pred, order=None, scale="printed"))
        assert (np.abs(printed - np.asarray(whole)) > 0.01).all()


@pytest.mark.parametrize("epsilon", [-0.4, 0.0, 0.5])
def test_perfect_overlap_has_a_finite_gradient_that_points_nowhere(epsilon):
    labels = random_pair((2, 30, 30, 1))[0]
    for order in (1, 2, None):
        slope = gradient(PolyDice(epsilon=epsilon, order=order), labels, labels)
        assert np.isfinite(slope).all()
        np.testing.assert_allclose(slope, 0, atol=2e-4)
        np.testing.assert_allclose(poly_dice(labels, labels, epsilon=epsilon, order=order), 0, atol=1e-6)


def test_each_image_has_its_own_epsilon():
    y_true, y_pred = random_pair()
    own = np.array([-0.3, 0.0, 0.7], "float32")
    each = [float(poly_dice(y_true[i : i + 1], y_pred[i : i + 1], epsilon=float(own[i]))[0]) for i in range(3)]
    np.testing.assert_allclose(poly_dice(y_true, y_pred, epsilon=own), each, rtol=1e-6)
    loss = PolyDice(epsilon="per_image")
    np.testing.assert_allclose(float(loss(y_true, y_pred, own)), np.mean(each), rtol=1e-6)
    np.testing.assert_allclose(float(loss(y_true, y_pred, own[:, None])), np.mean(each), rtol=1e-6)
    weights = np.array([1.0, 0.0, 2.0], "float32")
    both = np.stack([own, weights], axis=-1)
    np.testing.assert_allclose(float(loss(y_true, y_pred, both)), np.sum(each * weights) / 3, rtol=1e-6)
    np.testing.assert_allclose(float(loss(y_true, y_pred)), float(PolyDice()(y_true, y_pred)), rtol=1e-6)
    mask = np.random.default_rng(0).random((3, 14, 13)) < 0.6
    masked = float(loss(y_true, y_pred, own, mask=mask))
    np.testing.assert_allclose(masked, mean(poly_dice(y_true, y_pred, epsilon=own, mask=mask)), rtol=1e-6)


class TwoImages(keras.utils.PyDataset):
    """Images in a new order each epoch, each with its own epsilon."""

    def __init__(self, images, labels, epsilon):
        super().__init__(workers=1)
        self.images, self.labels, self.epsilon = images, labels, epsilon
        self.rng = np.random.default_rng(0)

    def __len__(self):
        return 1

    def __getitem__(self, number):
        order = self.rng.permutation(len(self.images))
        return self.images[order], self.labels[order], self.epsilon[order]


@with_and_without_jit
def test_epsilon_reaches_the_loss_inside_a_compiled_step(jit):
    labels, images = random_pair((4, 8, 8, 1))
    epsilon = np.array([-0.4, 0.0, 0.5, 2.0], "float32")
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 1, activation="sigmoid")])
    model.compile(keras.optimizers.SGD(0.0), loss=PolyDice(epsilon="per_image"), jit_compile=jit)
    expected = mean(poly_dice(labels, model.predict(images, verbose=0), epsilon=epsilon))
    history = model.fit(
        TwoImages(images, labels, epsilon), epochs=2, verbose=0, validation_data=(images, labels)
    ).history
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-5)
    without = mean(poly_dice(labels, model.predict(images, verbose=0)))
    np.testing.assert_allclose(history["val_loss"], without, rtol=1e-5)


def test_what_cannot_be_is_refused():
    y_true, y_pred = random_pair()
    for wrong in ({"epsilon": -0.5}, {"order": 0}, {"order": 1.5}, {"scale": "own"}):
        with pytest.raises(ValueError, match="poly_dice expects.*Received"):
            poly_dice(y_true, y_pred, **wrong)
        with pytest.raises(ValueError, match="(poly_dice|PolyDice) expects.*Received"):
            PolyDice(**wrong)
    with pytest.raises(ValueError, match="pools the batch"):
        poly_dice(y_true, y_pred, epsilon=np.zeros(3, "float32"), over="batch")
    with pytest.raises(ValueError, match="by itself"):
        PolyDice(epsilon="per_image", over="batch")
    with pytest.raises(ValueError, match="epsilon and weight"):
        PolyDice(epsilon="per_image")(y_true, y_pred, np.ones((3, 14, 13), "float32"))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(PolyDice(epsilon="per_image")))
    assert again.epsilon == "per_image"
