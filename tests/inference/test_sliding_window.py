"""Whole volumes by windows: exact where exactness can be had, one function a sample, bounded memory."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
from keras import layers
from scipy import ndimage

from keras_uq import models
from keras_uq.inference import Ensemble, MCDropout, SlidingWindow, TemperatureScaling, cut_window, window_starts


def pointwise(rank=3, dropout=0.0):
    """A network that sees one voxel at a time, so that windows change nothing."""
    convolution = {2: layers.Conv2D, 3: layers.Conv3D}[rank]
    first = convolution(4, 1, activation="tanh", kernel_initializer=keras.initializers.HeNormal(seed=1))
    parts = [keras.Input((*[None] * rank, 1)), first]
    parts += [layers.Dropout(dropout)] if dropout else []
    return keras.Sequential([*parts, convolution(2, 1, activation="softmax")])


@pytest.fixture(scope="module")
def volume():
    rng = np.random.default_rng(0)
    return 6 * ndimage.gaussian_filter(rng.normal(size=(1, 42, 37, 19, 1)), (0, 2, 2, 2, 0)).astype("float32")


@pytest.fixture(scope="module")
def unet(volume):
    """A small 3D U-Net with dropout, trained a little: an untrained one says the same everywhere."""
    keras.utils.set_random_seed(0)
    model = models.unet(
        (None, None, None, 1), 2, (4, 8, 16), norm_momentum=0.5, encoder_dropout=0.2, decoder_dropout=0.2
    )
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy")
    images = volume[:, :40, :32, :16]
    labels = np.eye(2, dtype="float32")[(images[..., 0] > 0.4).astype(int)]
    for _ in range(25):
        model.train_on_batch(images, labels)
    return model


@pytest.mark.parametrize(
    ("size", "window", "overlap", "stride", "expected"),
    [
        (10, 10, 0.5, 1, [0]),
        (7, 10, 0.5, 1, [0]),
        (11, 10, 0.5, 1, [0, 1]),
        (30, 10, 0.5, 1, [0, 5, 10, 15, 20]),
        (30, 10, 0, 1, [0, 10, 20]),
        (33, 16, 0.5, 8, [0, 8, 16, 24]),
        (30, 16, 0.6, 8, [0, 8, 16]),
        (30, 10, 0.95, 1, list(range(21))),
    ],
)
def test_windows_reach_both_ends(size, window, overlap, stride, expected):
    starts = window_starts(size, window, overlap, stride)
    assert starts == expected
    assert starts[-1] + window >= size
    assert all(start % stride == 0 for start in starts)


@pytest.mark.parametrize("window", [(16, 16, 16), (64, 64, 64), (5, 37, 40), (16, 8, 7)])
@pytest.mark.parametrize("overlap", [0, 0.5, 0.7])
def test_a_pointwise_network_gives_what_it_gives_for_the_whole(volume, window, overlap):
    model = pointwise()
    whole = np.asarray(model.predict_on_batch(volume))
    for predictor in (model, Ensemble([model])):
        maps = SlidingWindow(predictor, window, overlap).predict(volume, batch_size=3)
        assert maps.mean.shape == (*volume.shape[:-1], 2)
        np.testing.assert_allclose(maps.mean, whole, atol=1e-5)
        assert maps.std.max() < 1e-6


def test_two_dimensions_and_several_images():
    model = pointwise(2)
    images = np.random.default_rng(1).normal(size=(3, 21, 18, 1)).astype("float32")
    maps = SlidingWindow(model, (8, 8)).predict(images, batch_size=4)
    np.testing.assert_allclose(maps.mean, np.asarray(model.predict_on_batch(images)), atol=1e-5)


def test_the_middle_of_a_window_counts_more_than_its_rim():
    seen = []

    class Numbered:
        """Its k-th window is all k."""

        def networks(self, case=0):
            def network(images, start=0, batch_size=None, phase=None):
                seen.append(start)
                return np.stack([np.full((*image.shape[:-1], 1), (start + k) / 10) for k, image in enumerate(images)])

            yield network

        def describe(self):
            return {}

    maps = SlidingWindow(Numbered(), (8, 1), 0.5, consistent=False).predict(np.zeros((1, 12, 1, 1), "float32"))
    blended = maps.mean[0, :, 0, 0]
    assert seen == [0, 1]
    weight = np.exp(-0.5 * ((np.arange(8) - 3.5) / 1) ** 2)
    expected = np.concatenate([np.zeros(4), 0.1 * weight[:4] / (weight[:4] + weight[4:]), np.full(4, 0.1)])
    np.testing.assert_allclose(blended, expected, atol=1e-3)
    assert (np.diff(blended) > -1e-6).all()


def test_samples_are_what_the_maps_are_made_of(unet, volume):
    predictor = SlidingWindow(MCDropout(unet, samples=3, seed=5), (16, 16, 16))
    maps = predictor.predict(volume, batch_size=2)
    drawn = np.stack(list(predictor.draw(volume, batch_size=2)))
    assert drawn.shape == (3, *volume.shape[:-1], 2)
    np.testing.assert_allclose(maps.mean, drawn.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(maps.std, drawn.std(axis=0), atol=1e-5)
    assert maps.samples == 3
    assert maps.std.mean() > 0.005
    np.testing.assert_allclose(maps.mean.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.parametrize("consistent", [True, False])
def test_the_same_call_gives_the_same_maps_whatever_the_batch(unet, volume, consistent):
    predictor = SlidingWindow(MCDropout(unet, samples=2, seed=5), (16, 16, 16), consistent=consistent)
    volume = volume[:, :26, :24]
    first = predictor.predict(volume, case=3)
    for batch_size in (1, 2):
        again = predictor.predict(volume, batch_size=batch_size, case=3)
        np.testing.assert_allclose(again.mean, first.mean, atol=2e-6)
    assert np.abs(predictor.predict(volume, case=4).mean - first.mean).max() > 0.01


def disagreement(network, volume, phases):
    """Mean difference, in the middle of their overlap, of two windows of 16 that lie 8 apart along the first axis."""
    first, second = (
        network(volume[:, start : start + 16, :16, :16], phase=phase) for start, phase in zip((0, 8), phases)
    )
    return np.abs(first[0, 11:13, 6:10, 6:10] - second[0, 3:5, 6:10, 6:10]).mean()


def test_one_sample_is_one_function_of_the_volume(unet, volume):
    """Overlapping windows agree in each sample nearly as well as without dropout; with masks of the window, not."""
    plain = MCDropout(unet, samples=12, seed=1)
    anchored = plain.anchored((16, 16, 16))
    assert anchored.strides == (4, 4, 4)
    (deterministic,) = Ensemble([unet]).networks()
    none = disagreement(deterministic, volume, (None, None))
    in_window = np.mean([disagreement(network, volume, (None, None)) for network in plain.networks()])
    in_volume = np.mean([disagreement(network, volume, ((0, 0, 0), (8, 0, 0))) for network in anchored.networks()])
    assert in_volume < 2 * none + 0.005
    assert in_volume < in_window / 2


def test_anchored_masks_are_those_of_the_volume_bit_for_bit():
    """A pointwise network with dropout: windows of one sample agree exactly, for nothing but the mask could differ."""
    model = pointwise(dropout=0.5)
    ones = np.ones((1, 40, 24, 16, 1), "float32")
    sample = next(SlidingWindow(MCDropout(model, 1, seed=2), (16, 16, 8)).draw(ones))[0, ..., 0]
    # Periodic with the window, without a seam: blending equal values changes nothing.
    np.testing.assert_allclose(sample[16:32], sample[:16], atol=1e-6)
    np.testing.assert_allclose(sample[:, 16:24], sample[:, :8], atol=1e-6)
    np.testing.assert_allclose(sample[:, :, 8:], sample[:, :, :8], atol=1e-6)
    assert len(np.unique(np.round(sample, 4))) > 4
    # A window that begins 4 voxels further on sees the masks 4 voxels further on.
    network = next(MCDropout(model, 1, seed=2).anchored((16, 16, 8)).networks())
    first, further = (network(ones[:, :16, :16, :8], phase=(start, 0, 0))[0] for start in (0, 4))
    np.testing.assert_allclose(further[:12], first[4:], atol=1e-6)
    assert np.abs(further[4:] - first[:12]).max() > 0.01
    blurred = next(SlidingWindow(MCDropout(model, 1, seed=2), (16, 16, 8), consistent=False).draw(ones))[0, ..., 0]
    assert np.abs(blurred[16:32] - blurred[:16]).max() > 0.01


@pytest.mark.parametrize("kind", [layers.GaussianDropout, layers.AlphaDropout, layers.SpatialDropout3D])
def test_every_kind_of_dropout_is_anchored(kind):
    model = keras.Sequential(
        [
            keras.Input((None, None, None, 1)),
            layers.Conv3D(4, 1, activation="relu", kernel_initializer="ones"),
            kind(0.4),
            layers.Conv3D(2, 1, activation="softmax"),
        ]
    )
    sample = next(SlidingWindow(MCDropout(model, 1, seed=3), (8, 8, 8)).draw(np.ones((1, 24, 8, 12, 1), "float32")))
    np.testing.assert_allclose(sample[0, 8:16], sample[0, :8], atol=1e-6)
    np.testing.assert_allclose(sample[0, 16:], sample[0, :8], atol=1e-6)


def test_dropout_without_places_needs_no_anchor(volume):
    inputs = keras.Input((None, None, None, 1))
    pooled = layers.Dropout(0.5)(layers.Dense(4)(layers.GlobalAveragePooling3D()(inputs)))
    gate = layers.Reshape((1, 1, 1, 4))(pooled)
    outputs = layers.Conv3D(1, 1, activation="sigmoid")(
        layers.Multiply()([layers.Conv3D(4, 3, padding="same")(inputs), gate])
    )
    predictor = SlidingWindow(MCDropout(keras.Model(inputs, outputs), 2, seed=0), (16, 16, 16))
    assert predictor.predict(volume).mean.shape == (*volume.shape[:-1], 1)


def test_an_ensemble_of_sampled_networks(volume):
    model = pointwise(dropout=0.5)
    members = [MCDropout(model, 2, seed=0), MCDropout(model, 2, seed=1), model]
    maps = SlidingWindow(Ensemble(members), (16, 16, 16)).predict(volume)
    assert maps.samples == 5
    alone = [SlidingWindow(member, (16, 16, 16)).predict(volume).mean for member in members[:2]]
    exact = SlidingWindow(Ensemble(members[:2]), (16, 16, 16)).predict(volume).mean
    np.testing.assert_allclose(exact, np.mean(alone, axis=0), atol=1e-6)


def test_the_model_is_left_as_it_was(unet, volume):
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in unet.variables]
    SlidingWindow(MCDropout(unet, 2, seed=0), (16, 16, 16)).predict(volume)
    for variable, value in zip(unet.variables, before):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


def test_a_temperature_goes_around_it(unet, volume):
    window = SlidingWindow(unet, (16, 16, 16))
    maps = TemperatureScaling(window, 2.0).predict(volume)
    np.testing.assert_array_equal(maps.mask, window.predict(volume).mask)
    with pytest.raises(ValueError, match="wrap it around the SlidingWindow"):
        SlidingWindow(TemperatureScaling(Ensemble([unet]), 2.0), (16, 16, 16))


def test_what_cannot_be_is_refused(unet, volume):
    for window in ((), (0, 4, 4), (4.5, 4, 4), (True, 4, 4), 16, "ab", None):
        with pytest.raises(ValueError, match="SlidingWindow expects `window` to be a list of 1 or more values"):
            SlidingWindow(unet, window)
    for overlap in (1, -0.1, float("nan"), "0.5", None):
        with pytest.raises(ValueError, match=r"SlidingWindow expects `overlap` to be a number in \[0, 1\)"):
            SlidingWindow(unet, (16, 16, 16), overlap=overlap)
    with pytest.raises(ValueError, match=r"5 axes.*shape=\(42, 37, 19, 1\).*images\[None\]"):
        SlidingWindow(unet, (16, 16, 16)).predict(volume[0])
    with pytest.raises(ValueError, match="no image"):
        SlidingWindow(unet, (16, 16, 16)).predict(volume[:0])
    with pytest.raises(ValueError, match="shared=True"):
        SlidingWindow(MCDropout(unet, 2, shared=False), (16, 16, 16))
    assert SlidingWindow(MCDropout(unet, 2, shared=False), (16, 16, 16), consistent=False).predict(volume).samples == 2

    class Drawing:
        """A predictor of whole images."""

        def draw(self, images, batch_size=8, case=0):
            yield images

    with pytest.raises(ValueError, match="A Drawing among the members"):
        SlidingWindow(Ensemble([unet, Drawing()]), (16, 16, 16)).predict(volume)
    odd = keras.Sequential(
        [
            keras.Input((None, None, None, 1)),
            layers.Conv3D(4, 3, padding="valid"),
            layers.Dropout(0.3),
            layers.Conv3DTranspose(1, 3, activation="sigmoid"),
        ]
    )
    with pytest.raises(ValueError, match="sees \\(14, 14, 14\\) cells of a window of \\(16, 16, 16\\)"):
        SlidingWindow(MCDropout(odd, 2), (16, 16, 16))
    SlidingWindow(MCDropout(odd, 2), (16, 16, 16), consistent=False).predict(volume)


def test_windows_are_cut_within_the_image():
    image = np.arange(30.0).reshape(5, 6, 1)
    np.testing.assert_array_equal(cut_window(image, (3, 4), (2, 3))[..., 0], [[22, 23, 0], [28, 29, 0]])
    for corner, window in (((-1, 0), (2, 2)), ((5, 0), (2, 2)), ((0,), (2, 2)), ((0, 0, 0), (2, 2, 2))):
        with pytest.raises(ValueError, match="a corner within the image"):
            cut_window(image, corner, window)
    for name, value in (("size", 0), ("window", -1), ("stride", 0), ("size", 2.5), ("overlap", 1), ("overlap", -0.5)):
        with pytest.raises(ValueError, match=f"window_starts expects `{name}`"):
            window_starts(**{"size": 20, "window": 8, "overlap": 0.5, "stride": 1, name: value})


def test_it_says_how_it_predicts(unet):
    said = SlidingWindow(MCDropout(unet, 2, seed=0), (16, 16, 16), overlap=0.25).describe()
    assert (said["method"], said["window"], said["overlap"], said["consistent"]) == (
        "sliding window",
        [16, 16, 16],
        0.25,
        True,
    )
    assert said["of"]["method"] == "Monte Carlo dropout"


PEAK = """
import keras, numpy as np, resource
from keras_uq.inference import MCDropout, SlidingWindow
model = keras.Sequential(
    [keras.Input((None, None, None, 1)), keras.layers.Dropout(0.3), keras.layers.Conv3D(2, 1, activation="softmax")]
)
volume = np.ones((1, 128, 128, 128, 1), "float32")
SlidingWindow(MCDropout(model, {samples}, seed=0), (64, 64, 64)).predict(volume)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_samples(tmp_path):
    peaks = []
    for samples in (2, 20):
        script = textwrap.dedent(PEAK.format(samples=samples))
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert peaks[1] < 1.1 * peaks[0], peaks
