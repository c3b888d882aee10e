"""Every table is data that builds, and says what the paper's CSV says."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest

from data_prep.pictures import COLLECTIONS
from experiments import command, study, training
from experiments.choices import Adam, AllSeeds, Channels, Nesterov, Plateau, Steps, Volumes
from experiments.kethavath2025.study import TESTS_NOTE, spread_of
from experiments.mehrtash2020.protocol import Box
from experiments.plan import Job, model_config
from experiments.run import PUBLISHED
from experiments.table import PROFILES, departures
from experiments.yeung2021.protocol import ReleasedPlateau
from tests.data_prep.conftest import make_task  # noqa: F401
from tests.experiments.test_plan import TABLES

ROOT = Path(__file__).parent.parent.parent
# Rows that a paper does not print.
UNPRINTED = {
    "mehrtash2020": ("CE, temperature", "Dice, temperature", "CE without weights"),
    "zhang2025": ("UNet-3D, DiceCE 0.5/0.5",),
}


class Fake:
    """What a table needs to know of data to build its networks."""

    split = {"train": ["a"], "validation": ["b"], "test": ["c"]}
    classes = 4
    channels = 1
    fingerprint = ""
    shifted = None

    @staticmethod
    def mask(case):
        return np.arange(256, dtype="uint8").reshape(1, 16, 16, 1) % 4


@pytest.fixture(params=TABLES, ids=lambda table: f"{table.paper}-{table.name}-{table.dataset}")
def table(request):
    return request.param


def test_rows_are_those_of_the_published_table(table):
    run = {"paper": table.paper, "table": table.name, "dataset": table.dataset, "classes": 4}
    published = study.of(table.paper).published(run)
    ours = UNPRINTED.get(table.paper, ())
    assert [row.name for row in table.rows if row.name not in ours] == list(published.index)
    volumes = isinstance(table.settings.input, Volumes)
    assert all(any(row.name == name for row in table.rows) for name in ours if not volumes)
    assert set(study.of(table.paper).measures) & set(published)
    assert {"dataset", "flag"} <= set(published)


def test_every_cell_builds(table):
    assert set(table.profiles) == set(PROFILES)
    settings = table.settings.replace(filters=2, norm_momentum=0.9)
    shape = (2, *(16,) * settings.input.rank, 1)
    models = {}
    for row in (row.of(Fake) for row in table.rows if row.loss):
        job = Job(table, settings, Fake, row, 0)
        kind = json.dumps(model_config(job))
        if kind not in models:
            models[kind] = training.build(job)
        model = models[kind]
        masks = keras.ops.zeros((*shape[:-1], model.output_shape[-1]))
        values = row.loss(masks, model(np.zeros(shape, "float32"), training=False))
        assert np.isfinite(float(values)), row.name


def of_kethavath(number):
    return next(table for table in TABLES if (table.paper, table.name) == ("kethavath2025", f"table{number}"))


@pytest.mark.parametrize("number", range(2, 8))
def test_protocol_is_the_printed_one(number):
    table = of_kethavath(number)
    settings = table.settings
    published = pd.read_csv(PUBLISHED / f"kethavath2025_table{number}.csv")
    printed = published[["dataset", "epochs", "initial_lr", "checkpoint_rule"]].drop_duplicates()
    assert len(printed) == 1
    dataset, epochs, rate, rule = printed.iloc[0]
    assert settings.epochs == (20 if np.isnan(epochs) else epochs)
    assert settings.optimizer == Adam(0.01 if np.isnan(rate) else rate)
    assert settings.keep == rule
    assert settings.monitor == "val_dice"
    assert dataset in table.dataset.lower()
    assert (settings.schedule, settings.samples) == (Steps(0.1, every=4), 20)
    steps = settings.preprocessing["CT"]
    assert (steps.window, steps.median) == ((300, 150), 3)
    # The size of the printed stds tells over what they were taken.
    run = {"paper": "kethavath2025", "table": table.name}
    assert spread_of(run) == ("pixel" if number in (4, 7) else "slice")
    assert ("mean_prediction" in study.of("kethavath2025").published(run)) == (number >= 5)


def test_table_7_is_table_3_at_another_epoch():
    third, seventh = of_kethavath(3), of_kethavath(7)
    assert seventh.settings.replace(keep="val_dice") == third.settings
    assert [row.loss for row in seventh.rows] == [row.loss for row in third.rows]
    assert (seventh.dataset, seventh.foreground, seventh.model) == (third.dataset, third.foreground, third.model)


@pytest.mark.parametrize("number", range(2, 8))
@pytest.mark.parametrize("data", [True, False], ids=["empty", "unset"])
def test_absent_data_are_explained_without_a_traceback(number, data, tmp_path, capsys):
    table = of_kethavath(number)
    arguments = ["--profile", "paper", *(("--data", str(tmp_path)) if data else ())]
    assert command.main(table, arguments) == 2
    said = capsys.readouterr().out
    if number == 4:
        places = ("atlas-challenge.u-bourgogne.fr", "institutional e-mail", "imagesTr/im0.nii.gz")
    else:
        task = table.dataset.rpartition("/")[2]
        places = (f"python -m data_prep.download {task}", "CC BY-SA 4.0", "imagesTr/<case>.nii.gz", f"{task}.tar")
    for words in (*places, f"There is no {tmp_path}" if data else "needs DATA"):
        assert words in said


def of_yeung(number, dataset="drive"):
    wanted = ("yeung2021", f"table{number}", dataset)
    return next(table for table in TABLES if (table.paper, table.name, table.dataset) == wanted)


def test_the_protocol_of_yeung_is_the_printed_one():
    hyper = pd.read_csv(PUBLISHED / "yeung2021_table2.csv", dtype=str).set_index("loss")
    rows = {row.name: row.loss for row in of_yeung(5).rows}
    for name in ("Tversky", "Focal Tversky", "Combo"):
        for form in (name, f"{name}++"):
            assert (rows[form].alpha, rows[form].beta) == (float(hyper["alpha"][name]), float(hyper["beta"][name]))
    assert hyper["gamma"]["Focal Tversky"] == "4/3"
    assert rows["Focal Tversky"].exponent == 0.75
    for name in ("gamma", "delta"):
        assert getattr(rows["Unified Focal"], name) == float(hyper[name]["Unified Focal"])
    assert rows["Unified Focal"].weight == float(hyper["lambda"]["Unified Focal"])
    assert all(loss.penalty_gamma == (2.0 if name.endswith("++") else 1.0) for name, loss in rows.items())
    sizes = pd.read_csv(PUBLISHED / "yeung2021_table1.csv", dtype=str).set_index("dataset")
    for key, collection in COLLECTIONS.items():
        settings = of_yeung(4, key).settings
        size = settings.preprocessing["other"].size
        assert " x ".join(map(str, size)) == sizes["image_resolution"][collection.name]
        assert (settings.batch, settings.optimizer, settings.patience) == (1, Nesterov(0.1, momentum=0.9), 50)
        assert settings.schedule == ReleasedPlateau(0.1, epochs=25)
        assert (settings.epochs, settings.keep, settings.monitor) == (1000, "val_loss", "val_loss")
        if key != "isic2018":  # Misprinted: Y-ISIC.
            printed = sizes.loc[collection.name, ["n_training", "n_validation", "n_test"]].astype(int)
            assert collection.counts == tuple(printed)
        assert sum(collection.counts) == {"isic2018": 2594}.get(key, int(sizes["n_images"][collection.name]))


def test_tables_of_yeung_share_their_trainings():
    gammas = {row.name: row.loss for row in of_yeung(3).rows}
    assert list(gammas) == [f"{gamma / 2:.1f}" for gamma in range(1, 11)]
    losses = {row.name: row.loss for row in of_yeung(4).rows}
    assert gammas["1.0"].get_config() == losses["DSC"].get_config()
    assert gammas["2.0"].get_config() == losses["DSC++"].get_config()
    # Below 1 the code's clipped labels matter.
    assert [name for name, loss in gammas.items() if name != "1.0" and loss.variant == "released"] == ["0.5"]


def test_plateaus_and_patience_scale_with_the_epochs_down_to_their_floors():
    table = of_yeung(4, "dsb2018")
    small = table.profiles["small"].apply(table.settings)
    assert (small.epochs, small.schedule.epochs, small.patience) == (20, 3, 6)
    half = table.settings.scale_epochs(500)
    assert (half.schedule.epochs, half.patience) == (12, 25)
    data = SimpleNamespace(name="dsb2018", modality="microscopy", description={"origin": {}})
    said = departures(table, small, data)
    for words in ("epochs 20 for 1000", "patience 6 for 50", "before the rate falls 3 for 25", "batch size 4 for 1"):
        assert any(words in sentence for sentence in said)


@pytest.mark.parametrize("key", COLLECTIONS)
def test_absent_pictures_are_explained_without_a_traceback(key, tmp_path, capsys):
    tables = importlib.import_module("experiments.yeung2021.table4").TABLES
    arguments = ["--profile", "paper", "--data", str(tmp_path), "--dataset", key]
    assert command.main(tables, arguments, every=True) == 2
    said = capsys.readouterr().out
    assert f"There is no {tmp_path}" in said
    assert COLLECTIONS[key].how_to_get in said.replace("\n", " ")


def test_all_datasets_are_run_where_none_is_named(tmp_path, capsys):
    tables = importlib.import_module("experiments.yeung2021.table4").TABLES
    assert command.main(tables, ["--profile", "paper", "--data", str(tmp_path)], every=True) == 2
    said = capsys.readouterr().out
    assert all(f"{tmp_path / key}" in said for key in COLLECTIONS)
    assert command.main(tables, ["--profile", "paper", "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().out
    assert f"{tmp_path / 'drive'}" in said
    assert f"{tmp_path / 'cvc'}" not in said


def of_mehrtash(dataset, name="table2"):
    wanted = ("mehrtash2020", name, dataset)
    return next(table for table in TABLES if (table.paper, table.name, table.dataset) == wanted)


def test_the_protocol_of_mehrtash_is_the_printed_one():
    spacing = {"prostatex": (None, 0.5, 0.5), "acdc": (None, 2.0, 2.0), "brats2017": (2.0, 1.0, 1.0)}
    batch = {"prostatex": 16, "acdc": 32, "brats2017": 32}
    for dataset in spacing:
        table = of_mehrtash(dataset)
        settings = table.settings
        steps = settings.preprocessing["other"]
        assert (steps.spacing, steps.crop, settings.batch) == (spacing[dataset], (224, 224), batch[dataset])
        assert (settings.optimizer, settings.schedule) == (Adam(0.005), Plateau(0.5, epochs=10, min_delta=0.001))
        assert settings.extra == Box(8.0)
        assert (settings.epochs, settings.samples, settings.filters) == (1000, 50, 8)
        assert (settings.monitor, settings.keep, settings.hard_dice) == ("val_dice", "val_dice", True)
        assert table.profiles["paper"].seeds == 100
        rows = {row.name: row.of(Fake) for row in table.rows}
        dice = rows["Dice"].loss
        assert dice.class_weights == ((1, 3, 1) if dataset == "acdc" else None)
        assert (dice.over, dice.smooth_numerator, dice.multilabel) == ("batch", 0, True)
        assert rows["Dice, MC dropout"].network == {"mc_dropout": True}
        assert rows["Dice, MC dropout"].channels is Channels.INDEPENDENT
        assert rows["CE"].channels is Channels.SOFTMAX
        assert rows["CE"].loss.class_weights == [1.0] * 4  # All classes of the fake are equally frequent.
        assert rows["CE without weights"].loss.class_weights is None
        assert isinstance(rows["Dice, ensemble"].seeds, AllSeeds)
    volumes = of_mehrtash("prostatex", "tableS3")
    assert volumes.settings.input == Volumes()
    steps = volumes.settings.preprocessing["other"]
    assert (steps.spacing, steps.crop, volumes.settings.batch) == ((1.0, 1.0, 1.0), (112, 112), 4)
    assert volumes.profiles["paper"].seeds == 10
    settings = of_mehrtash("acdc").settings
    callback = settings.schedule.callback(settings)
    assert (callback.monitor, callback.factor, callback.patience) == ("val_dice", 0.5, 10)
    assert (callback.mode, callback.min_delta, callback.min_lr) == ("max", 0.001, 0)


@pytest.mark.parametrize("dataset", ["prostatex", "acdc", "brats2017"])
def test_absent_mri_is_explained_without_a_traceback(dataset, tmp_path, capsys):
    tables = importlib.import_module("experiments.mehrtash2020.table2").TABLES
    arguments = ["--profile", "paper", "--data", str(tmp_path), "--dataset", dataset]
    assert command.main(tables, arguments, every=True) == 2
    said = capsys.readouterr().out.replace("\n", " ")
    assert f"There is no {tmp_path / dataset}" in said
    words = {
        "prostatex": ("ISBI 2018", "PROSTATEx-Seg-HiRes", "ProstateX-0004"),
        "acdc": ("data_prep.download acdc", "Info.cfg"),
        "brats2017": ("closed the registration", "Brats17_CBICA_AAB_1_t1ce.nii.gz"),
    }
    assert all(each in said for each in words[dataset])


def test_published_tables_are_as_printed():
    assert len(list((PUBLISHED).glob("*_table*.csv"))) == 20
    flags = pd.read_csv(PUBLISHED / "flags.csv").set_index("code")
    for path in (PUBLISHED).glob("*_table*.csv"):
        published = pd.read_csv(path, dtype=str)
        for codes in published["flag"].dropna() if "flag" in published else []:
            assert set(codes.split(";")) <= set(flags.index), path
    second = pd.read_csv(PUBLISHED / "kethavath2025_table2.csv", dtype=str).set_index("loss")
    assert second.loc["Dice Loss", "dice"] == "0.6838"
    assert second.loc["Log Dice Loss", "uncertainty_std"] == "0.000690"


@pytest.mark.slow
def test_the_readmes_table_of_your_own(make_task, tmp_path):  # noqa: F811
    """The commands as printed, on a folder of the user's, with a shorter protocol."""
    text = (ROOT / "README.md").read_text()
    block = next(block for block in re.findall(r"```\n(.*?)```", text, re.DOTALL) if "my_losses.py" in block)
    heredoc, command = block.split("END\nmake ")
    work = tmp_path / "work"
    work.mkdir()
    subprocess.run(["bash", "-c", heredoc + "END\n"], cwd=work, check=True)
    target, *variables = command.split()
    assert target == "reproduce-table2"
    given = dict(variable.split("=") for variable in variables)
    folder = make_task(given["DATASET"], cases=8, shape=(32, 32, 4), labels=("background", "organ"))
    options = [f"--{name.lower()}={value}" for name, value in {**given, "DATA": folder.parent}.items()]
    options += ["--row", "Squared", "--seeds", "1", "--epochs", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.kethavath2025.table2", *options, "--results", str(tmp_path / "runs")],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_UQ_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (table,) = (tmp_path / "runs").glob("kethavath2025_table2/small-my_folder-epochs1/table.csv")
    line = pd.read_csv(table).set_index("row").loc["Squared"]
    assert 0 < line["dice"] < 1
    assert "Squared" in done.stdout


def test_what_is_said_about_the_printed_f():
    """F of balanced groups from their printed means and standard deviations is proportional to their size."""
    published = pd.read_csv(PUBLISHED / "kethavath2025_table3.csv")
    means, stds = published["uncertainty_mean"], published["uncertainty_std"]
    f_of_one = means.var(ddof=1) / (stds**2).mean()
    assert f_of_one == pytest.approx(12_500, rel=0.01)
    texts = pd.read_csv(PUBLISHED / "text_values.csv", header=None, dtype=str)
    (printed,) = texts[texts[2] == "anova_F"][4].astype(float)
    assert printed == 2.14e8
    assert printed / f_of_one == pytest.approx(17_000, rel=0.02)
    assert all(words in TESTS_NOTE for words in ("F = 2.14e8", "12,500", "17,000"))
