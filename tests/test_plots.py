"""Figures hold the data they were given, with labels and units."""

import builtins
import io

import matplotlib.cbook
import matplotlib.text
import numpy as np
import pytest

from keras_uq import plots
from keras_uq._optional import require
from keras_uq.metrics import Reliability
from keras_uq.plots import surfaces


def render(figure):
    """Axes of a figure after it has been drawn, in every one of which something has been drawn."""
    figure.savefig(io.BytesIO(), dpi=20)
    drawn = [axes for axes in figure.axes if axes.axison]
    assert all(axes.has_data() or axes.texts or axes.patches for axes in drawn)
    return figure.axes


def test_learning_curves():
    figure = plots.learning_curves({"a": [[0.1, 0.5], [0.3]], "b": [[0.2, 0.4]]}, "Dice", "title")
    axes = render(figure)[0]
    assert axes.get_ylabel() == "Dice"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    bold = next(line for line in axes.lines if line.get_label() == "a")
    np.testing.assert_allclose(bold.get_ydata(), [0.2, 0.5])


def test_case_scores_show_every_case_and_the_median():
    scores = {"a": ([0.1, 0.2, 0.9], [1, 2, 3]), "b": ([0.5, float("nan")], [4, 5])}
    first, second = render(plots.case_scores(scores, ("Dice", "entropy (nat)")))
    assert second.get_xlabel() == "entropy (nat)"
    assert sorted(first.lines[0].get_xdata()) == [0.1, 0.2, 0.9]
    assert list(first.lines[1].get_xdata()) == [0.2, 0.2]
    assert list(first.lines[2].get_xdata()) == [0.5]


def test_violin_shows_every_row_on_decades():
    rng = np.random.default_rng(0)
    values = {"Dice Loss": 10 ** rng.uniform(-4, -1, 50), "BCE Loss": 10 ** rng.uniform(-3, -2, 50)}
    axes = render(plots.violin(values, "entropy (nat)", "title"))[0]
    assert axes.get_xlabel() == "entropy (nat)"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Dice", "BCE"]
    assert [text.get_text() for text in axes.get_xticklabels()] == [f"$10^{{{power}}}$" for power in range(-4, 0)]
    bodies = [body.get_paths()[0].vertices[:, 0] for body in axes.collections]
    for body, of_row in zip(bodies, values.values(), strict=True):
        np.testing.assert_allclose((body.min(), body.max()), np.log10((of_row.min(), of_row.max())))
    render(plots.violin({"a": [0.2, 0.3, 0.25], "b": [0.21, 0.22, 0.2]}, "entropy (nat)"))
    render(plots.violin({"a": [0.2, 0.3, 0.25], "collapsed": [0.1, 0.1, 0.1]}, "entropy (nat)"))
    with pytest.raises(ValueError, match="positive values"):
        plots.violin({"a": [0.0, 1.0]}, "x")


def test_confidence_shows_mean_both_spreads_and_the_truth():
    axes = render(plots.confidence({"Dice Loss": (0.03, 0.01, 0.2), "BCE Loss": (0.04, 0.02, 0.1)}, 0.035))[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["Dice", "BCE"]
    points = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert points == [0.03, 0.04]
    widths = sorted(np.ptp(bar.get_segments()[0][:, 0]) for bar in axes.collections)
    np.testing.assert_allclose(widths, [0.02, 0.04, 0.2, 0.4])
    assert 0.035 in {line.get_xdata()[0] for line in axes.lines}


def test_preparation_panel_names_units():
    picture = np.random.default_rng(0).random((12, 10))
    stages = {"original": 400 * picture - 100, "rescaled": picture, "filtered": picture}
    for modality, unit in (("CT", "HU"), ("MRI", "scanner units")):
        axes = render(plots.preparation_panel(stages, picture > 0.5, modality))
        assert [panel.get_title() for panel in axes[:3]] == list(stages)
        assert [bar.get_xlabel() for bar in axes[3:]] == [unit, "network input", "network input"]
        np.testing.assert_allclose(axes[0].images[0].get_clim(), (stages["original"].min(), stages["original"].max()))
        assert axes[1].images[0].get_clim() == (0, 1)


def test_qualitative_panel():
    rng = np.random.default_rng(0)
    image = rng.random((8, 9))
    maps = {"image": image, "entropy": 0.69 * image, "predicted": image > 0.4}
    panel = plots.qualitative_panel(
        {"Dice Loss": {**maps, "mask": image > 0.5}, "BCE Loss": {**maps, "mask": image > 2}}, "best case"
    )
    axes = render(panel)
    assert [axis.get_title() for axis in axes[:4]] == ["image", "ground truth", "prediction", "uncertainty"]
    assert [axes[0].get_ylabel(), axes[4].get_ylabel()] == ["Dice", "BCE"]
    assert axes[8].get_xlabel() == "entropy (nat)"
    np.testing.assert_allclose(axes[2].images[1].get_array()[..., 3], 0.45 * (image > 0.4), rtol=1e-6)
    entropy = axes[3].images[1]
    np.testing.assert_allclose(entropy.get_array(), 0.69 * image, rtol=1e-6)
    assert (entropy.get_alpha()[image < 0.05] == 0).all()
    assert (entropy.get_alpha()[image > 0.2] > 0.35).all()


def test_a_missing_package_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr("importlib.import_module", lambda name: without(name))
    with pytest.raises(ImportError, match=r'Plotting needs matplotlib.*pip install "keras-uq\[plots\]"'):
        require("matplotlib.figure", extra="plots", purpose="Plotting")


def test_picture_grid_has_a_line_a_row():
    picture, mask = np.random.default_rng(0).random((8, 8, 3)), np.eye(8, dtype=bool)
    axes = render(plots.picture_grid({"a": [(picture, mask)] * 3, "b": [(picture, mask & False)] * 2}))
    assert [len(each.images) for each in axes] == [1, 1, 1, 1, 1, 0]
    assert axes[0].get_title(loc="left") == "a"


def softmax_rows():
    rng = np.random.default_rng(0)
    mask = np.zeros((8, 10), bool)
    mask[2:6, 3:7] = True
    probability = np.clip(mask * 0.6 + 0.2 * rng.random(mask.shape), 0, 1)
    return {"DSC": {"image": rng.random((8, 10, 3)), "mask": mask, "predicted": mask, "probability": probability}}


def test_softmax_panel_shows_the_probability_from_0_to_1():
    axes = render(plots.softmax_panel(softmax_rows(), "title"))
    heatmap = axes[2].images[0]
    assert heatmap.get_clim() == (0, 1)
    np.testing.assert_allclose(heatmap.get_array(), softmax_rows()["DSC"]["probability"], rtol=1e-6)
    assert axes[-1].get_xlabel() == "foreground probability"


def test_threshold_panel_paints_false_magenta_and_missed_green():
    rows = softmax_rows()
    rows["DSC"]["probability"][0, 0], rows["DSC"]["probability"][2, 3] = 0.9, 0.1
    first, second = render(plots.threshold_panel(rows, thresholds=(0.05, 0.5)))
    picture = second.images[0].get_array()
    assert picture[0, 0].tolist() == pytest.approx([0.9, 0, 0.9])
    assert picture[2, 3].tolist() == pytest.approx([0, 0.75, 0.2])
    assert picture[3, 4].tolist() == [1, 1, 1]
    assert second.get_title() == "T = 0.5"
    assert first.get_title() == "T = 0.05"


def test_probability_histograms_are_shares_of_all_pixels():
    edges = np.linspace(0, 1, 3)
    figure = plots.probability_histograms({"a": (edges, [6, 2], [1, 1]), "b": (edges, [5, 5], [0, 0])})
    axes = render(figure)[0]
    assert axes.get_yscale() == "log"
    np.testing.assert_allclose(axes.patches[0].get_data().values, [0.6, 0.2])
    np.testing.assert_allclose(axes.patches[1].get_data().values, [0.1, 0.1])


def test_threshold_curves_and_their_bands():
    mean = np.array([0.5, 0.7])
    curves = dict.fromkeys(("precision", "recall", "dice"), (mean, mean - 0.1, mean + 0.1))
    figure = plots.threshold_curves({"DSC": {"threshold": [0.2, 0.8], **curves}})
    axes = render(figure)
    assert [each.get_ylabel() for each in axes] == ["precision", "recall", "Dice"]
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), mean)
    band = axes[0].collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.4, 0.8))


def test_measures_against_a_number_have_bars():
    figure = plots.measures_against([1, 2], {"NLL": ([0.1, 0.2], [0.05, 0.1], [0.2, 0.25])}, "gamma")
    (axes,) = render(figure)
    assert axes.get_xlabel() == "gamma"
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.1, 0.2])


def curve(counts):
    """A reliability curve that is right in every bin but the last."""
    confidence = (np.arange(len(counts)) + 0.5) / len(counts)
    return Reliability(np.array(counts), confidence, np.append(confidence[:-1], 0.6))


def test_reliability_leaves_out_bins_of_few_voxels():
    figure = plots.reliability_diagram({"a": curve([5000, 999, 1000, 20]), "b": curve([1, 1, 1, 1])})
    first, second, *_ = render(figure)
    np.testing.assert_allclose(first.lines[1].get_xdata(), [0.125, 0.625])
    assert len(second.lines[1].get_xdata()) == 0
    assert first.lines[0].get_xdata().tolist() == [0, 1]
    all_of_it = render(plots.reliability_diagram({"a": curve([5000, 999, 1000, 20])}, least=1))
    np.testing.assert_allclose(all_of_it[0].lines[1].get_ydata(), [0.125, 0.375, 0.625, 0.6])


def test_calibration_panel_shows_slice_reliability_and_segment():
    maps = softmax_rows()["DSC"] | {
        "image": np.zeros((8, 10)),
        "reliability": curve([5000, 5000, 5000, 5000]),
        "histogram": [1, 3],
        "scores": "ECE 1 %",
    }
    axes = render(plots.calibration_panel({"a": maps, "b": maps}, [0, 0.5, 1], title="title"))
    assert axes[0].images[1].get_clim() == (0, 1)
    assert "ECE 1 %" in [text.get_text() for text in axes[1].texts]
    np.testing.assert_allclose(axes[2].patches[0].get_data().values, [0.25, 0.75])


def test_members_panel_has_a_picture_a_size():
    maps = softmax_rows()["DSC"]
    sizes = {2: maps["probability"], 10: maps["probability"] * 0.5}
    axes = render(plots.members_panel({"a": maps | {"image": np.zeros((8, 10)), "sizes": sizes}}))
    assert [each.get_title() for each in axes[:2]] == ["M = 2", "M = 10"]
    np.testing.assert_allclose(axes[1].images[1].get_array(), sizes[10], rtol=1e-6)


def test_nll_vs_members_have_a_band_a_row():
    rows = {"CE": ([1, 2, 5], [0.3, 0.2, 0.1], [0.2, 0.15, 0.1], [0.4, 0.25, 0.1])}
    first, second = render(plots.nll_vs_members({"NLL": rows, "Dice": rows}))
    assert [first.get_ylabel(), second.get_ylabel()] == ["NLL", "Dice"]
    np.testing.assert_allclose(first.lines[0].get_ydata(), [0.3, 0.2, 0.1])
    band = first.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.1, 0.4))


def test_segment_regression_draws_the_line_of_what_is_not_spoilt():
    entropy = np.linspace(0.1, 0.5, 9)
    points = (np.append(entropy, np.nan), np.append(3 - 5 * entropy, 1.0), [0.6], [-4.0])
    (axes,) = render(plots.segment_regression({"a": {"points": {"organ": points}, "text": "r = -1"}}))
    line = axes.lines[0]
    np.testing.assert_allclose(line.get_ydata(), 3 - 5 * line.get_xdata(), atol=1e-6)
    assert line.get_xdata().max() == pytest.approx(0.5)
    assert "r = -1" in [text.get_text() for text in axes.texts]


def test_surfaces_lie_where_the_bodies_are():
    body = np.zeros((6, 12, 10), bool)
    body[2:5, 3:9, 1:4] = True
    maps = {"mask_volume": body, "predicted_volume": body[:, ::-1], "spacing": (3.0, 1.0, 1.0)}
    nothing = {**maps, "predicted_volume": np.zeros_like(body)}
    figure = plots.surface_panel({"UNet-3D, Tversky": maps, "empty": nothing}, "title")
    truth, predicted, empty = render(figure)
    assert truth.get_title() == "ground truth"
    assert predicted.get_title() == "UNet-3D, Tversky"
    assert not empty.collections
    points = surfaces.triangles(body, (3.0, 1.0, 1.0))[0].reshape(-1, 3)
    # x, y, z in millimetres: half a voxel around the body, slices 3 mm apart.
    np.testing.assert_allclose(points.min(axis=0), (0.5, 2.5, 3 * 1.5))
    np.testing.assert_allclose(points.max(axis=0), (3.5, 8.5, 3 * 4.5))


HOSTILE = "_a$\\frac_0$ b_c^d<b>{"


def every_figure(name):
    """Every function of `plots`, with one row (or class, measure, stage) of this name, and the name in the title."""
    maps = softmax_rows()["DSC"] | {"image": np.zeros((8, 10)), "entropy": np.zeros((8, 10))}
    maps |= {"reliability": curve([5000, 5000]), "histogram": [1, 3], "scores": name, "sizes": {2: maps["probability"]}}
    band = ([1, 2], [0.1, 0.2], [0.1, 0.2], [0.1, 0.2])
    entropy = np.linspace(0.1, 0.5, 9)
    body = np.pad(np.ones((2, 2, 2), bool), 1)
    volumes = {"mask_volume": body, "predicted_volume": body, "spacing": (1.0, 1.0, 1.0)}
    curves = {"threshold": [0.2, 0.8], **dict.fromkeys(("precision", "recall", "dice"), band[1:])}
    regression = {"points": {name: (entropy, 3 - 5 * entropy, [0.6], [-4.0])}, "text": name}
    values = np.geomspace(0.01, 1, 20)
    yield plots.learning_curves({name: [[0.1, 0.5]]}, name, name)
    yield plots.case_scores({name: ([0.1, 0.2],)}, (name,), name)
    yield plots.violin({name: values, "other": values}, name, name)
    yield plots.confidence({name: (0.03, 0.01, 0.2)}, 0.035, name)
    yield plots.preparation_panel({name: maps["image"]}, maps["mask"], "CT", name)
    yield plots.qualitative_panel({name: maps}, name)
    yield plots.picture_grid({name: [(maps["image"], maps["mask"])]}, name)
    yield plots.softmax_panel({name: maps}, name)
    yield plots.threshold_panel({name: maps}, title=name)
    yield plots.probability_histograms({name: (np.linspace(0, 1, 3), [6, 2], [1, 1])}, name)
    yield plots.threshold_curves({name: curves}, name)
    yield plots.measures_against([1, 2], {name: band[1:]}, name, name)
    yield plots.reliability_diagram({name: curve([5000, 5000])}, title=name)
    yield plots.calibration_panel({name: maps}, [0, 0.5, 1], title=name)
    yield plots.members_panel({name: maps}, name)
    yield plots.nll_vs_members({name: {name: band}}, name)
    yield plots.segment_regression({name: regression}, name)
    yield plots.quantile_bands({name: ([1, 2], np.ones((2, 7)))}, name, name, name)
    yield plots.scatter({name: ([1, 2], [1, 2])}, name, name, name)
    yield plots.surface_panel({name: volumes}, name)
    yield plots.poly_dice_curves(title=name)


def test_names_are_drawn_letter_by_letter():
    for figure in every_figure(HOSTILE):
        figure.set_layout_engine("none")  # Draws in a fraction of the time.
        figure.savefig(io.BytesIO(), dpi=10)
        texts = [text.get_text() for text in figure.findobj(matplotlib.text.Text)]
        # Formulas are only the numbers of logarithmic axes.
        assert not [text for text in texts if matplotlib.cbook.is_math_text(text) and "10^{" not in text]
        assert "".join(HOSTILE.split()) in ["".join(text.split()).replace("\\$", "$") for text in texts]
        assert all(legend.get_texts() for legend in figure.legends)


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", ["$$", "\\$x$", "\udcff\x00\x07", "x" * 300 + "$y$", ""], ids=ascii)
def test_letters_that_no_font_has_are_drawn(name):
    figure = plots.learning_curves({name: [[0.1, 0.5]]}, "Dice", name)
    figure.savefig(io.BytesIO(), dpi=10)
    assert len(figure.legends[0].get_texts()) == 1


def test_wrapping_does_not_part_a_dollar_from_its_backslash():
    figure = plots.scatter({"a": ([1], [1])}, "x", "y", "x" * 57 + "$" * 60)
    assert figure.get_suptitle().count("\\$") == 60
    assert not matplotlib.cbook.is_math_text(figure.get_suptitle())


SOLID = dict.fromkeys(("mask_volume", "predicted_volume"), np.ones((2, 2, 2)))
FLAT = dict.fromkeys(SOLID, np.ones((8, 10)))
MAPS = {"image": np.zeros((8, 10)), **{key: np.eye(8, 10) for key in ("mask", "predicted", "entropy", "probability")}}


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (lambda: plots.learning_curves({}, "Dice"), "learning_curves expects `curves`.*at least one row"),
        (lambda: plots.case_scores({"a": ([1],)}, ("Dice", "NLL")), "2 `xlabels`.*1 for 'a'"),
        (lambda: plots.violin({"a": []}, "x"), "positive values.*'a'.*none"),
        (lambda: plots.violin({"a": [1, np.inf]}, "x"), "positive values.*finite"),
        (lambda: plots.violin({"a": [1, np.nan]}, "x"), "positive values.*finite"),
        (lambda: plots.confidence([], 0.5), "confidence expects `rows`"),
        (lambda: plots.preparation_panel({}), "preparation_panel expects `stages`"),
        (lambda: plots.qualitative_panel({"a": MAPS | {"mask": np.eye(9)}}), r"of one shape.*'a'.*\(9, 9\)"),
        (lambda: plots.qualitative_panel({"a": {"image": 1}}), "Row 'a' lacks mask, predicted, entropy"),
        (lambda: plots.qualitative_panel({"a": None}), "Row 'a' lacks image"),
        (lambda: plots.softmax_panel({"a": MAPS | {"mask": np.zeros((2, 8, 10))}}), r"\(height, width\).*\(2, 8, 10\)"),
        (lambda: plots.threshold_panel({"a": MAPS}, ()), "thresholds.*1 or more"),
        (lambda: plots.threshold_panel({"a": MAPS}, (2,)), r"thresholds.*\[0, 1\]"),
        (lambda: plots.members_panel({"a": {**MAPS, "sizes": {}}}), "members_panel expects `sizes`"),
        (lambda: plots.reliability_diagram({"a": curve([1])}, columns=0), "columns.*at least 1"),
        (lambda: plots.poly_dice_curves(()), "epsilons.*1 or more"),
        (lambda: plots.poly_dice_curves(scale=2), r"scale.*\[0, 1\]"),
        (lambda: plots.threshold_curves({"a": {"threshold": [1]}}), "Row 'a' lacks precision, recall, dice"),
        (
            lambda: plots.surface_panel({"a": FLAT | {"spacing": (1, 1, 1)}}),
            r"volumes \(depth, height, width\).*\(8, 10\)",
        ),
        (
            lambda: plots.surface_panel({"a": SOLID | {"spacing": (1, 0, 1)}}),
            "spacing.*above 0",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_named(draw, expected):
    with pytest.raises(ValueError, match=f"(?s){expected}"):
        draw()
