"""Every table is data that builds, and says what the paper's CSV says."""

import dataclasses
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from experiments.measures import PUBLISHED, shown_measures

from data_prep.pictures import COLLECTIONS
from experiments import runner, study, training
from experiments import table as table_module
from tests.data_prep.conftest import make_task  # noqa: F401

ROOT = Path(__file__).parent.parent.parent
MODULES = [
    importlib.import_module(f"experiments.{path.parent.name}.{path.stem}")
    for path in sorted((ROOT / "experiments").glob("*20*/table*.py"))
]
# Tables S1 and S2 of mehrtash2020 are those of Table II.
TABLES = list(
    {id(table): table for module in MODULES for table in getattr(module, "TABLES", None) or [module.TABLE]}.values()
)


# Rows that a paper does not print.
UNPRINTED = {
    "mehrtash2020": ("CE, temperature", "Dice, temperature", "CE without weights"),
    "zhang2025": ("UNet-3D, DiceCE 0.5/0.5",),
}


class Fake:
    """What a table needs to know of data to build its networks."""

    split = {"train": ["a"], "validation": ["b"], "test": ["c"]}
    classes = 4

    @staticmethod
    def image(case):
        return np.zeros((1, 16, 16, 1), "float32")

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
    assert all(any(row.name == name for row in table.rows) for name in ours if not table.settings.volumes)
    assert set(shown_measures(run)) <= set(published)
    assert {"dataset", "flag"} <= set(published)


def test_every_cell_builds(table):
    assert set(table.profiles) == set(table_module.PROFILES)
    for profile in table.profiles.values():
        json.dumps(dataclasses.asdict(table_module.apply_profile(table.settings, profile)))
    settings = dataclasses.replace(table.settings, filters=2, norm_momentum=0.9)
    shape = (2, *(16,) * (3 if settings.volumes or settings.patch else 2), 1)
    models = {}
    for row in (row.of(Fake) for row in table.rows if row.loss or row.loss_of):
        keras.saving.serialize_keras_object(row.loss)
        kind = json.dumps(training.model_config(table, row, settings, Fake))
        model = models.setdefault(kind, training.build(table, row, settings, Fake))
        model.compile("adam", loss=row.loss, run_eagerly=True)
        masks = np.zeros((*shape[:-1], model.output_shape[-1]), "float32")
        assert np.isfinite(model.test_on_batch(np.zeros(shape, "float32"), masks)), row.name


def test_every_row_has_a_folder_of_its_own(table):
    runner._check_names(table)
    folders = {runner.cell_folder(Path("run"), row.name, 0) for row in table.rows}
    assert len(folders) == len(table.rows)
    twice = dataclasses.replace(table, rows=(*table.rows, table_module.Row(f"{table.rows[0].name}-")))
    with pytest.raises(ValueError, match="one folder"):
        runner._check_names(twice)


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
    assert settings.learning_rate == (0.01 if np.isnan(rate) else rate)
    assert settings.keep == rule
    assert settings.monitor == "val_dice"
    assert dataset in table.dataset.lower()
    assert (settings.decay_factor, settings.decay_every, settings.samples) == (0.1, 4, 20)
    assert (table.ct.window, table.ct.median) == ((300, 150), 3)
    # The size of the printed stds tells over what they were taken.
    assert table.spread == ("pixel" if number in (4, 7) else "slice")
    with_prediction = shown_measures({"paper": "kethavath2025", "table": table.name})
    assert ("mean_prediction" in with_prediction) == (number >= 5)


def test_table_7_is_table_3_at_another_epoch():
    third, seventh = of_kethavath(3), of_kethavath(7)
    assert dataclasses.replace(seventh.settings, keep="val_dice") == third.settings
    assert [row.loss for row in seventh.rows] == [row.loss for row in third.rows]
    assert (seventh.dataset, seventh.foreground, seventh.model) == (third.dataset, third.foreground, third.model)


@pytest.mark.parametrize("number", range(2, 8))
@pytest.mark.parametrize("data", [True, False], ids=["empty", "unset"])
def test_absent_data_are_explained_without_a_traceback(number, data, tmp_path, capsys):
    table = of_kethavath(number)
    arguments = ["--profile", "paper", *(("--data", str(tmp_path)) if data else ())]
    assert runner.main(table, arguments) == 2
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
        assert " x ".join(map(str, settings.size)) == sizes["image_resolution"][collection.name]
        assert (settings.batch, settings.learning_rate, settings.plateau, settings.patience) == (1, 0.1, 25, 50)
        assert (settings.momentum, settings.epochs, settings.keep, settings.monitor) == (
            0.9,
            1000,
            "val_loss",
            "val_loss",
        )
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
    small = table_module.apply_profile(table.settings, table.profiles["small"])
    assert (small.epochs, small.plateau, small.patience, small.decay_every) == (20, 3, 6, None)
    half = table_module.scale_epochs(table.settings, 500)
    assert (half.plateau, half.patience) == (12, 25)
    said = table_module.departures(table, small, "dsb2018", "microscopy", {})
    for words in ("epochs 20 for 1000", "patience 6 for 50", "before the rate falls 3 for 25", "batch size 4 for 1"):
        assert any(words in each for each in said)


@pytest.mark.parametrize("key", COLLECTIONS)
def test_absent_pictures_are_explained_without_a_traceback(key, tmp_path, capsys):
    tables = importlib.import_module("experiments.yeung2021.table4").TABLES
    arguments = ["--profile", "paper", "--data", str(tmp_path), "--dataset", key]
    assert runner.main(tables, arguments, every=True) == 2
    said = capsys.readouterr().out
    assert f"There is no {tmp_path}" in said
    assert COLLECTIONS[key].how_to_get in said.replace("\n", " ")


def test_all_datasets_are_run_where_none_is_named(tmp_path, capsys):
    tables = importlib.import_module("experiments.yeung2021.table4").TABLES
    assert runner.main(tables, ["--profile", "paper", "--data", str(tmp_path)], every=True) == 2
    said = capsys.readouterr().out
    assert all(f"{tmp_path / key}" in said for key in COLLECTIONS)
    assert runner.main(tables, ["--profile", "paper", "--data", str(tmp_path)]) == 2
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
        assert (settings.spacing, settings.crop, settings.batch) == (spacing[dataset], (224, 224), batch[dataset])
        assert (settings.learning_rate, settings.plateau, settings.plateau_delta) == (0.005, 10, 0.001)
        assert (settings.epochs, settings.samples, settings.filters) == (1000, 50, 8)
        assert (settings.monitor, settings.keep, settings.hard_dice) == ("val_dice", "val_dice", True)
        assert table.profiles["paper"].seeds == 100
        rows = {row.name: row.of(Fake) for row in table.rows}
        dice = rows["Dice"].loss
        assert dice.class_weights == ((1, 3, 1) if dataset == "acdc" else None)
        assert (dice.over, dice.smooth_numerator, dice.multilabel) == ("batch", 0, True)
        assert rows["Dice, MC dropout"].network == {"multilabel": True, "mc_dropout": True}
        assert rows["CE"].loss.class_weights == [1.0] * 4  # All classes of the fake are equally frequent.
        assert rows["CE without weights"].loss.class_weights is None
        assert rows["Dice, ensemble"].over_seeds
    volumes = of_mehrtash("prostatex", "tableS3")
    assert volumes.settings.volumes
    assert (volumes.settings.spacing, volumes.settings.crop) == ((1.0, 1.0, 1.0), (112, 112))
    assert volumes.profiles["paper"].seeds == 10
    optimizer = training._schedule(of_mehrtash("acdc").settings)
    assert (optimizer.monitor, optimizer.factor, optimizer.patience) == ("val_dice", 0.5, 10)
    assert (optimizer.mode, optimizer.min_delta, optimizer.min_lr) == ("max", 0.001, 0)


@pytest.mark.parametrize("dataset", ["prostatex", "acdc", "brats2017"])
def test_absent_mri_is_explained_without_a_traceback(dataset, tmp_path, capsys):
    tables = importlib.import_module("experiments.mehrtash2020.table2").TABLES
    arguments = ["--profile", "paper", "--data", str(tmp_path), "--dataset", dataset]
    assert runner.main(tables, arguments, every=True) == 2
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
    assert all(words in of_kethavath(3).tests_note for words in ("F = 2.14e8", "12,500", "17,000"))


def test_make_hands_every_variable_over():
    command = ["make", "-n", "reproduce-table4", "PAPER=kethavath2025", "READY=", "PROFILE=small", "DATA=a b"]
    command += ["DATASET=d", "SEEDS=2", "ROW=Dice Loss", "SEED=1", "EPOCHS=3", "FILTERS=8", "LOSS=m:L"]
    command += ["FOREGROUND=1,2", "SPLIT=slices"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    line = next(line for line in said.splitlines() if "$" not in line and "experiments.kethavath2025.table4" in line)
    arguments = shlex.split(line.rpartition("table4 ")[2].rpartition(";")[0])
    options = runner._parser(of_kethavath(4)).parse_args(arguments)
    assert (options.profile, options.data, options.dataset, options.row) == ("small", "a b", "d", "Dice Loss")
    assert (options.seeds, options.seed, options.epochs, options.filters) == (2, 1, 3, 8)
    assert (options.loss, options.foreground, options.split) == (["m:L"], (1, 2), "slices")
