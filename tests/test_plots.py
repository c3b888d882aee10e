"""Figures hold the data they were given, with labels and units."""

import builtins
import io

import numpy as np
import pytest

from keras_uq import plots
from keras_uq._optional import require


def render(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=40)
    assert len(buffer.getvalue()) > 1000
    return figure.axes


def test_learning_curves():
    axes = render(plots.learning_curves({"a": [[0.1, 0.5], [0.3]], "b": [[0.2, 0.4]]}, "Dice", "title"))[0]
    assert axes.get_ylabel() == "Dice"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    bold = next(line for line in axes.lines if line.get_label() == "a")
    np.testing.assert_allclose(bold.get_ydata(), [0.2, 0.5])


def test_case_scores_show_every_case_and_the_median():
    scores = {"a": ([0.1, 0.2, 0.9], [1, 2, 3]), "b": ([0.5, float("nan")], [4, 5])}
    first, second = render(plots.case_scores(scores, ("Dice", "entropy (nat)")))
    assert second.get_xlabel() == "entropy (nat)"
    assert sorted(first.lines[0].get_xdata()) == [0.1, 0.2, 0.9]
    assert list(first.lines[1].get_xdata()) == [0.2, 0.2]
    assert list(first.lines[2].get_xdata()) == [0.5]


def test_qualitative_panel():
    rng = np.random.default_rng(0)
    maps = {name: rng.random((8, 9)) for name in ("image", "probability", "entropy")}
    panel = plots.qualitative_panel(
        {"Dice Loss": {**maps, "mask": maps["image"] > 0.5}, "BCE Loss": {**maps, "mask": maps["image"] > 2}}
    )
    axes = render(panel)
    assert axes[0].get_ylabel() == "Dice"
    assert "nat" in {axis.get_xlabel() for axis in axes}
    np.testing.assert_array_equal(axes[1].images[0].get_array().shape, (8, 9))


def test_a_missing_package_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr("importlib.import_module", lambda name: without(name))
    with pytest.raises(ImportError, match=r'Plotting needs matplotlib.*pip install "keras-uq\[plots\]"'):
        require("matplotlib.figure", extra="plots", purpose="Plotting")
