"""Hiroike (2026): difficulties, their epsilon, and that each image trains with its own."""

import dataclasses

import keras
import numpy as np
import pytest

from keras_uq.callbacks import AdaptiveEpsilon, PerImageData, Resume, adaptive_epsilon
from keras_uq.callbacks.adaptive_epsilon import difficulties
from keras_uq.inference import MCDropout
from keras_uq.inference.maps import MapSum
from keras_uq.losses import Dice, PolyDice, poly_dice
from tests.reference import VALUES

CHECKS = {check["id"]: check for check in VALUES["checks"] if check["paper"] == "hiroike2026"}


@pytest.mark.parametrize("check", [c for name, c in CHECKS.items() if "adaptive_eps" in name], ids=lambda c: c["id"])
def test_epsilon_of_the_paper(check):
    given = check["params"]
    found = adaptive_epsilon(given["D"], given["percentile"], given["lam"], (given["eps_min"], given["eps_max"]))
    np.testing.assert_allclose(found, check["expected"], rtol=1e-9)


def test_epsilon_where_nothing_is_known():
    np.testing.assert_array_equal(adaptive_epsilon([np.nan, np.nan], epsilon_range=(-0.2, 0.4)), 0.1)
    np.testing.assert_array_equal(adaptive_epsilon([0.3, 0.3, 0.3]), 0)
    found = adaptive_epsilon([0.1, np.nan, 0.2])
    assert found[0] < 0 == found[1] < found[2]
    assert np.isfinite(adaptive_epsilon([0, 1e-12, 1e9], sensitivity=1e6)).all()


def paper_maps():
    total = MapSum()
    for sample in VALUES["inputs"]["MC"]["p"] if "p" in VALUES["inputs"]["MC"] else VALUES["inputs"]["MC"]["passes"]:
        total.add(np.array(sample, "float32")[np.newaxis, ..., np.newaxis])
    return total.maps()


def test_difficulty_of_the_paper():
    maps = paper_maps()
    mask = np.array(VALUES["inputs"]["A"]["y"])[np.newaxis, ..., np.newaxis]
    for region in ("gt", "pred"):
        expected = CHECKS[f"h.difficulty.MC.{region}"]["expected"]
        np.testing.assert_allclose(difficulties(maps, mask, region=region), expected, rtol=1e-4)
    np.testing.assert_allclose(maps.mutual_information[0], CHECKS["h.mutual_information.MC"]["expected"], rtol=1e-3)
    np.testing.assert_allclose(
        difficulties(maps, mask, "variance", "all"), np.mean(CHECKS["h.variance.MC"]["expected"]), rtol=1e-5
    )
    # One-hot masks say the same.
    np.testing.assert_allclose(
        difficulties(maps, np.concatenate([1 - mask, mask], axis=-1)), difficulties(maps, mask), rtol=1e-9
    )
    union = difficulties(maps, mask, region="union")
    both = (mask[0, ..., 0] > 0.5) | (maps.mean[0, ..., 0] >= 0.5)
    np.testing.assert_allclose(union, maps.mutual_information[0][both].mean(), rtol=1e-6)


def test_an_empty_region_falls_back():
    maps = paper_maps()
    empty = np.zeros((1, 4, 4, 1))
    predicted = difficulties(maps, empty, region="pred")
    np.testing.assert_allclose(difficulties(maps, empty, region="gt"), predicted)
    total = MapSum()
    total.add(np.full((1, 4, 4, 1), 0.1, "float32"))
    total.add(np.full((1, 4, 4, 1), 0.3, "float32"))
    nothing = total.maps()
    np.testing.assert_allclose(difficulties(nothing, empty), nothing.mutual_information.mean(), rtol=1e-6)


def problem(images=6, seed=0):
    """Half of the images are bright bodies on a dark ground, half are noise."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((images, 8, 8, 1), "float32")
    masks[:, 2:6, 2:6] = 1
    clear = 2 * masks - 1
    noise = rng.normal(size=masks.shape)
    hard = np.arange(images) % 2 == 1
    return np.where(hard[:, None, None, None], noise, clear + 0.1 * noise).astype("float32"), masks


# Keras on PyTorch draws the masks of dropout without a seed from a generator of the whole process.
SEED = 0 if keras.backend.backend() == "torch" else None


def network(loss=None, rate=0.1):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(8, 3, padding="same", activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3, seed=SEED),
            keras.layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.SGD(rate), loss=loss or PolyDice(epsilon="per_image"))
    return model


def fit(data, callback, epochs=5, model=None, further=()):
    model = model or network()
    history = model.fit(data, epochs=epochs, shuffle=False, verbose=0, callbacks=[callback, *further])
    return model, history.history


class Recorded(PerImageData):
    """Remembers which epsilon each image was sent with."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.sent = {}

    def __getitem__(self, number):
        images, masks, epsilon = super().__getitem__(number)
        for image, value in zip(images, epsilon):
            at = int(np.argmin([np.abs(image - other).sum() for other in self.images]))
            self.sent.setdefault(self.epoch, {})[at] = float(value)
        return images, masks, epsilon


def test_refreshes_come_when_they_should_and_epsilon_holds_between():
    data = Recorded(*problem(), batch_size=4)
    callback = AdaptiveEpsilon(data, start_epoch=3, every=2, samples=3)
    _, history = fit(data, callback, epochs=6)
    assert [refresh["epoch"] for refresh in callback.refreshes] == [3, 5]
    assert all(len(sent) == 6 for sent in data.sent.values())
    for epoch in (0, 1):
        assert set(data.sent[epoch].values()) == {0.0}
    for first, refresh in ((2, 0), (4, 1)):
        expected = dict(enumerate(callback.refreshes[refresh]["epsilon"]))
        for epoch in (first, first + 1):
            assert data.sent[epoch] == pytest.approx(expected, abs=1e-6)
        assert history["epsilon_mean"][first] == pytest.approx(np.mean(list(expected.values())), abs=1e-6)
        assert history["epsilon_max"][first + 1] == pytest.approx(max(expected.values()), abs=1e-6)
    assert history["epsilon_std"][:2] == [0, 0]
    assert [seconds > 0 for seconds in history["refresh_seconds"]] == [False, False, True, False, True, False]


def test_difficulties_are_those_of_the_current_weights_on_plain_images():
    images, masks = problem()
    data = PerImageData(images, masks, batch_size=2, augment=lambda image, mask, rng: (image * 0, mask))
    assert not data[0][0].any()  # Training gets augmented images.
    callback = AdaptiveEpsilon(data, start_epoch=1, every=1, samples=4, seed=7, batch_size=3)
    model = network()
    expected = []
    for start in (0, 3):
        maps = MCDropout(model, 4, seed=7).predict(images[start : start + 3], batch_size=3, case=1)
        expected += difficulties(maps, masks[start : start + 3]).tolist()
    fit(data, callback, epochs=2, model=model)
    first, second = (np.array(refresh["difficulty"]) for refresh in callback.refreshes)
    np.testing.assert_allclose(first, expected, rtol=1e-4)
    assert np.abs(second - first).max() > 1e-4
    assert first.std() > 0


def test_the_loss_of_an_epoch_is_that_of_each_images_epsilon():
    """Two kinds of images, known difficulties: what the compiled step saw is what the rule says, image by image."""
    images, masks = problem()
    data = PerImageData(images, masks, batch_size=6)
    callback = AdaptiveEpsilon(data, start_epoch=1, every=9, samples=3, epsilon_range=(-0.4, 2.0))
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
            keras.layers.Dropout(0.3),
            keras.layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.0), loss=PolyDice(epsilon="per_image"))
    known = np.where(np.arange(6) % 2 == 1, 0.5, 0.1)
    callback.refresh = lambda epoch: _dictate(callback, known)
    # Without dropout, training sees what prediction sees.
    model.layers[1].rate = 0.0
    loss = model.fit(data, epochs=2, shuffle=False, verbose=0, callbacks=[callback]).history["loss"]
    epsilon = adaptive_epsilon(known, epsilon_range=(-0.4, 2.0))
    assert epsilon[0] == epsilon[2] < epsilon[1] == epsilon[3]
    predicted = model.predict(images, verbose=0)
    losses, turned = (
        keras.ops.convert_to_numpy(poly_dice(masks, predicted, epsilon=each))
        for each in (epsilon, epsilon[::-1].copy())
    )
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-5)
    assert abs(turned.mean() - loss[0]) > 1e-4


def _dictate(callback, known):
    callback.difficulties = known
    callback._epsilon = adaptive_epsilon(known, **callback.rule)
    callback.refreshes.append({"epoch": 1})


def test_a_subset_takes_turns():
    data = PerImageData(*problem(8), batch_size=4)
    callback = AdaptiveEpsilon(data, start_epoch=1, every=1, samples=2, subset=0.25)
    fit(data, callback, epochs=4)
    assert [refresh["sampled"] for refresh in callback.refreshes] == [2] * 4
    unknown = [sum(value is None for value in refresh["difficulty"]) for refresh in callback.refreshes]
    assert unknown == [6, 4, 2, 0]
    first = callback.refreshes[0]
    assert [e for d, e in zip(first["difficulty"], first["epsilon"]) if d is None] == [0.0] * 6


def test_statistics_of_the_batch_are_another_rule():
    data = Recorded(*problem(), batch_size=3)
    callback = AdaptiveEpsilon(data, start_epoch=1, every=9, samples=3, statistics="batch", epsilon_range=(0, 1))
    fit(data, callback, epochs=1)
    ids = [0, 1, 2]
    np.testing.assert_allclose(
        callback.epsilon_of(ids), adaptive_epsilon(callback.difficulties[ids], epsilon_range=(0, 1))
    )
    assert np.abs(callback.epsilon_of(ids) - np.array(callback.refreshes[0]["epsilon"])[ids]).max() > 1e-6


def test_sampling_leaves_the_training_as_it_is():
    """The same training with epsilon always 0, sampled or not, ends in the same weights."""
    weights = []
    for callbacks in (True, False):
        data = PerImageData(*problem(), batch_size=2)
        model = network()
        extra = (
            [AdaptiveEpsilon(data, start_epoch=1, every=1, samples=2, epsilon_range=(0, 0))]
            if callbacks
            else [Follow(data)]
        )
        model.fit(data, epochs=3, shuffle=False, verbose=0, callbacks=extra)
        weights.append([keras.ops.convert_to_numpy(weight) for weight in model.weights])
    for one, other in zip(*weights):
        np.testing.assert_allclose(one, other, atol=1e-6)


class Follow(keras.callbacks.Callback):
    def __init__(self, data):
        super().__init__()
        self.data = data

    def on_epoch_begin(self, epoch, logs=None):
        self.data.epoch = epoch


class Killed(Exception):
    """The process ends here."""


class Kill(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2:
            raise Killed


def test_killed_and_resumed_is_as_if_never_killed(tmp_path):
    def begin(folder):
        data = PerImageData(*problem(), batch_size=2)
        callback = AdaptiveEpsilon(data, start_epoch=2, every=3, samples=2, subset=0.5)
        return data, callback, Resume(folder, [callback])

    data, whole, resume = begin(tmp_path / "whole")
    expected, _ = fit(data, whole, epochs=6, further=[resume])
    data, callback, resume = begin(tmp_path / "killed")
    with pytest.raises(Killed):
        fit(data, callback, epochs=6, further=[resume, Kill()])
    data, callback, resume = begin(tmp_path / "killed")
    model, _ = fit(data, callback, epochs=6, further=[resume])
    assert [refresh["epoch"] for refresh in callback.refreshes] == [2, 5]
    for one, other in zip(callback.refreshes, whole.refreshes):
        np.testing.assert_allclose(one["epsilon"], other["epsilon"], atol=1e-5)
    for one, other in zip(model.weights, expected.weights):
        np.testing.assert_allclose(*(keras.ops.convert_to_numpy(w) for w in (one, other)), atol=1e-5)
    assert [line["epoch"] for line in resume.history] == list(range(6))


def test_what_cannot_be_is_refused():
    data = PerImageData(*problem())
    for wrong in (
        {"measure": "std"},
        {"region": "box"},
        {"statistics": "epoch"},
        {"epsilon_range": (-0.5, 1)},
        {"epsilon_range": (0.4, 0.2)},
        {"subset": 0},
        {"every": 0},
        {"percentile": 101},
    ):
        with pytest.raises(ValueError, match=f"(?s)Received.*{next(iter(wrong))}"):
            AdaptiveEpsilon(data, **wrong)
    with pytest.raises(ValueError, match="per_image"):
        fit(data, AdaptiveEpsilon(data), model=network(Dice()))
    with pytest.raises(ValueError, match="as many masks"):
        PerImageData(np.zeros((3, 8, 8, 1)), np.zeros((2, 8, 8, 1)))


def test_numbers_out_of_range_are_refused():
    data = PerImageData(*problem())
    for name, wrongs in {
        "samples": (0, 1, 2.5),
        "start_epoch": (0, 1.5),
        "every": (-1, "5"),
        "percentile": (float("nan"), "50"),
        "sensitivity": (0, float("nan"), float("inf")),
        "epsilon_range": (1, (0.1,), (float("nan"), 1), ("a", "b"), None),
        "subset": (1.1, float("nan")),
        "batch_size": (0, 2.0),
        "seed": (-1, None),
    }.items():
        for wrong in wrongs:
            with pytest.raises(ValueError, match=f"^AdaptiveEpsilon expects `{name}` to be .*Received: {name}="):
                AdaptiveEpsilon(data, **{name: wrong})
            if name in ("percentile", "sensitivity", "epsilon_range"):
                with pytest.raises(ValueError, match=f"^adaptive_epsilon expects `{name}` to be .*Received: {name}="):
                    adaptive_epsilon([0.1, 0.2], **{name: wrong})
    AdaptiveEpsilon(data, samples=1, measure="entropy")
    for wrong in (None, np.zeros((2, 8, 8, 1))):
        with pytest.raises(ValueError, match="`data` to be a PerImageData.*without cases, plain"):
            AdaptiveEpsilon(wrong)
    for wrong in ([0.1, np.inf], ["a"], [[0.1]], 0.5):
        with pytest.raises(ValueError, match="`difficulty` to hold one finite number per image"):
            adaptive_epsilon(wrong)


def test_data_are_refused_where_they_enter():
    images, masks = problem()
    for name, pair in (
        ("images", (images[:0], masks[:0])),
        ("images", ([1, 2], masks)),
        ("images", (images.astype(object), masks)),
        ("masks", (images, masks.astype("complex64"))),
        ("masks", (images, np.zeros(6))),
    ):
        with pytest.raises(ValueError, match=f"^PerImageData expects `{name}` to be an array of numbers"):
            PerImageData(*pair)
    with pytest.raises(ValueError, match="equal sides"):
        PerImageData(images, masks[:, :4])
    for wrong in ({"batch_size": 0}, {"batch_size": 2.5}, {"seed": -1}, {"augment": "flip"}):
        with pytest.raises(ValueError, match=f"PerImageData expects `{next(iter(wrong))}` to be"):
            PerImageData(images, masks, **wrong)
    with pytest.raises(ValueError, match=r"masks in \[0, 1\]. Received: 0 to 255"):
        PerImageData(images, masks * 255)[0]
    images[4, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"PerImageData expects finite images.*\{4: '1.56%'\}"):
        PerImageData(images, masks)[0]


class Unchecked(PerImageData):
    def plain(self, ids):
        return self.images[ids], self.masks[ids]


def test_images_of_other_data_are_checked_at_the_refresh():
    images, masks = problem()
    images[3] = np.inf
    data = Unchecked(images, masks)
    with pytest.raises(ValueError, match=r"AdaptiveEpsilon expects finite images.*\{3: '100.00%'\}"):
        fit(data, AdaptiveEpsilon(data, start_epoch=1, samples=2))


def test_difficulties_are_never_unknown_by_accident():
    maps, mask = paper_maps(), np.array(VALUES["inputs"]["A"]["y"])[np.newaxis, ..., np.newaxis]
    with pytest.raises(ValueError, match="a mean mutual_information of nan in image 0"):
        difficulties(dataclasses.replace(maps, mutual_information=maps.mutual_information * np.nan), mask)
    for wrong in ({"measure": "std"}, {"region": "box"}):
        with pytest.raises(ValueError, match=f"difficulties expects `{next(iter(wrong))}`"):
            difficulties(maps, mask, **wrong)
    with pytest.raises(ValueError, match="of the maps' size"):
        difficulties(maps, mask[:, :2])


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"last": [0] * 6},
        {"last": [0] * 5, "refreshes": []},
        {"last": [0] * 6, "refreshes": [{"difficulty": [0.1], "epsilon": [0.1]}]},
        {"last": "no", "refreshes": []},
    ],
)
def test_a_state_of_other_data_is_refused(state):
    with pytest.raises(ValueError, match=r"AdaptiveEpsilon|6 images"):
        AdaptiveEpsilon(PerImageData(*problem())).set_state(state)
