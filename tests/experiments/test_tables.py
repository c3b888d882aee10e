"""Every table is data that builds, and says what the paper's CSV says."""

import dataclasses
import importlib
import json
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from experiments import table as table_module
from experiments.report import PUBLISHED

ROOT = Path(__file__).parent.parent.parent
TABLES = [
    importlib.import_module(f"experiments.{path.parent.name}.{path.stem}").TABLE
    for path in sorted((ROOT / "experiments").glob("*20*/table*.py"))
]


@pytest.fixture(params=TABLES, ids=lambda table: f"{table.paper}-{table.name}")
def table(request):
    return request.param


def test_rows_are_those_of_the_published_table(table):
    published = pd.read_csv(ROOT / PUBLISHED / f"{table.paper}_{table.name}.csv", dtype=str)
    assert [row.name for row in table.rows] == list(published["loss"])


@pytest.mark.parametrize("profile", table_module.PROFILES)
def test_every_cell_builds(table, profile):
    settings = table_module.apply_profile(table.settings, table_module.PROFILES[profile])
    json.dumps(dataclasses.asdict(settings))
    model = table.model((None, None, 1), filters=2, norm_momentum=settings.norm_momentum)
    images = np.zeros((2, 32, 32, 1), "float32")
    for row in table.rows:
        keras.saving.serialize_keras_object(row.loss)
        model.compile("adam", loss=row.loss)
        assert np.isfinite(model.test_on_batch(images, images)), row.name


def test_protocol_is_the_printed_one(table):
    settings = table.settings
    printed = (settings.epochs, settings.learning_rate, settings.decay_factor, settings.decay_every, settings.samples)
    assert printed == (20, 0.01, 0.1, 4, 20)
    assert settings.keep == "val_dice"
    assert table.ct.window == (300, 150)
    assert table.ct.median == 3


def test_published_tables_are_as_printed():
    assert len(list((ROOT / PUBLISHED).glob("*_table*.csv"))) == 20
    flags = pd.read_csv(ROOT / PUBLISHED / "flags.csv").set_index("code")
    for path in (ROOT / PUBLISHED).glob("*_table*.csv"):
        published = pd.read_csv(path, dtype=str)
        for codes in published["flag"].dropna() if "flag" in published else []:
            assert set(codes.split(";")) <= set(flags.index), path
    second = pd.read_csv(ROOT / PUBLISHED / "kethavath2025_table2.csv", dtype=str).set_index("loss")
    assert second.loc["Dice Loss", "dice"] == "0.6838"
    assert second.loc["Log Dice Loss", "uncertainty_std"] == "0.000690"
