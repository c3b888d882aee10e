"""Jobs follow from table, profile, changes, row and seed alone: no data are read and nothing is run."""

import dataclasses
import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.choices import AllSeeds, FirstSeeds
from experiments.command import changed, parser
from experiments.plan import digest, plan
from experiments.recorded import LOSS_MODULES, name_of, recorded, with_recorded_modules
from experiments.table import Row
from keras_uq import losses
from tests.experiments.tiny import TABLE, both

EXPERIMENTS = Path(__file__).parent.parent.parent / "experiments"
MODULES = [
    importlib.import_module(f"experiments.{path.parent.name}.{path.stem}")
    for path in sorted(EXPERIMENTS.glob("*20*/table*.py"))
]
TABLES = list({id(t): t for module in MODULES for t in getattr(module, "TABLES", None) or [module.TABLE]}.values())
# Each option once, and whether it must change what is run.
OPTIONS = {
    "--epochs 3": True,
    "--filters 3": True,
    "--foreground 1": False,  # It changes the data, whose fingerprint is fixed here.
    "--split fold0": False,  # Likewise.
    "--profile demo": True,
    "--profile paper": True,
    "--skip-bad": False,
    "--seeds 1": False,
    "--tensorboard logs": False,
    "--results elsewhere": False,
    "--no-report": False,
    "--prepare-only": False,
}


class Data:
    """What a plan needs to know of data."""

    fingerprint = "0" * 64
    classes = 3
    channels = 1
    shifted = None
    split = {"train": ["a"], "validation": ["b"], "test": ["c"]}

    @staticmethod
    def mask(case):
        return np.arange(48, dtype="uint8").reshape(1, 4, 12, 1) % 3


def planned(table, arguments=()):
    """Digests by row and seed of what a command would run."""
    options = parser(table).parse_args(["--profile", "small", "--seeds", "2", *arguments])
    table, settings, _ = changed(table, options)
    seeds = range(options.seeds or table.profiles[options.profile].seeds)
    jobs = plan(table, settings, Data, seeds, options.row, options.seed)
    return {(job.row.name, job.seed): job.digest for job in jobs}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.paper}-{table.name}-{table.dataset}")
def test_every_option_on_every_table(table):
    usual = planned(table)
    assert usual == planned(table)
    for option, changes in OPTIONS.items():
        jobs = planned(table, option.split())
        shared = set(jobs) & set(usual)
        assert shared, option
        assert all((jobs[key] != usual[key]) == changes for key in shared if key[1] == 1), option
    name, seed = next(iter(usual))
    assert planned(table, ["--row", name])[name, seed] == usual[name, seed]
    assert {seed for _, seed in planned(table, ["--seed", "7"])} == {7}
    both_losses = planned(table, ["--loss", "keras.losses:Huber", "--row", "Huber"])
    assert list(both_losses) == [("Huber", 0), ("Huber", 1)]


def names(jobs):
    return [(job.row.name, job.seed) for job in jobs]


def test_jobs_come_after_the_jobs_they_need():
    rows = (Row("a", inputs=("c",)), Row("b", losses.Dice()), Row("c", losses.Dice(), inputs=("b",)))
    table = dataclasses.replace(TABLE, rows=rows)
    jobs = plan(table, TABLE.settings, Data, range(2))
    assert names(jobs) == [("b", 0), ("c", 0), ("a", 0), ("b", 1), ("c", 1), ("a", 1)]
    assert names(plan(table, TABLE.settings, Data, range(1), row="c")) == [("b", 0), ("c", 0)]
    assert jobs[2].config["inputs"] == [jobs[1].digest]
    circle = dataclasses.replace(TABLE, rows=(Row("a", inputs=("b",)), Row("b", inputs=("a",))))
    with pytest.raises(ValueError, match="needs itself"):
        plan(circle, TABLE.settings, Data, range(1))
    with pytest.raises(ValueError, match=r"no row 'Lovasz'.*Dice Loss"):
        plan(TABLE, TABLE.settings, Data, range(1), row="Lovasz")


def with_ensemble():
    dice = TABLE.row("Dice Loss")
    together = Row("together", inputs=("Dice Loss",), predictor=both, seeds=AllSeeds())
    return dataclasses.replace(TABLE, rows=(dice, dataclasses.replace(dice, name="few", seeds=FirstSeeds(1)), together))


def test_a_row_of_all_seeds_is_made_once_from_all_of_them():
    table = with_ensemble()
    jobs = plan(table, TABLE.settings, Data, range(3))
    assert names(jobs) == [*(("Dice Loss", 0), ("few", 0), ("Dice Loss", 1), ("Dice Loss", 2), ("together", 0))]
    assert jobs[-1].config["inputs"] == [jobs[at].digest for at in (0, 2, 3)]
    # One seed alone never makes it, whichever seed it is.
    for seed in (0, 2, 5):
        assert ("together", 0) not in names(plan(table, TABLE.settings, Data, range(3), seed=seed))
    assert names(plan(table, TABLE.settings, Data, range(3), row="together"))[-1] == ("together", 0)
    with pytest.raises(ValueError, match="once, from the cells of all seeds: leave out --seed 2, or name.*Dice Loss"):
        plan(table, TABLE.settings, Data, range(3), row="together", seed=2)


def test_one_seed_of_the_ensemble_of_ten_is_one_seed():
    table = next(table for table in TABLES if (table.paper, table.name) == ("mehrtash2020", "table2"))
    jobs = plan(table, table.profiles["small"].apply(table.settings), Data, range(10), seed=3)
    assert names(jobs) == [("CE", 3), ("CE, temperature", 3), ("Dice", 3), ("Dice, temperature", 3)]


def test_rows_that_stand_in_print_alone_are_never_run():
    table = next(table for table in TABLES if table.paper == "zhang2025")
    settings = table.profiles["small"].apply(table.settings)
    assert not any("VNet" in row for row, _ in names(plan(table, settings, Data, range(2))))
    assert plan(table, settings, Data, range(2), row="Dilated VNet-3D [12]") == []


def test_the_name_of_a_row_is_no_part_of_its_digest():
    assert digest({"row": "a", "seed": 0}) == digest({"row": "b", "seed": 0})
    assert digest({"row": "a", "seed": 0}) != digest({"row": "a", "seed": 1})


def test_recorded_names_do_not_follow_files():
    @recorded("some.place.before")
    def moved():
        pass

    assert name_of(moved) == "some.place.before"
    assert name_of(plan) == "experiments.plan.plan"
    serialized = {"module": "keras_uq.losses.new_file", "class_name": "Dice", "config": {"x": [{"module": "keras"}]}}
    assert with_recorded_modules(serialized)["module"] == "keras_uq.losses.dice"
    assert with_recorded_modules(serialized)["config"] == serialized["config"]


def test_every_loss_has_a_recorded_module():
    classes = {name for name in losses.__all__ if isinstance(getattr(losses, name), type)} - {"SegmentationLoss"}
    assert set(LOSS_MODULES) == classes


def test_every_predictor_of_a_table_has_a_recorded_name():
    for table in TABLES:
        for row in table.rows:
            if row.predictor is not None:
                assert row.predictor.recorded_name.startswith(f"experiments.{table.paper}."), row.name


def test_a_loss_of_the_user_is_known_by_its_code(tmp_path, monkeypatch):
    file = tmp_path / "my_own_loss.py"
    file.write_text(
        "import keras\n\nclass Mine(keras.losses.Loss):\n    def call(self, y_true, y_pred):\n        return 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine = importlib.import_module("my_own_loss").Mine()
    table = dataclasses.replace(TABLE, rows=(Row("mine", mine), Row("Dice Loss", losses.Dice())))
    (job, ours) = plan(table, TABLE.settings, Data, range(1))
    assert "loss_code" not in ours.training
    before = job.training["loss_code"]
    file.write_text(file.read_text() + "\n# Changed.\n")
    assert plan(table, TABLE.settings, Data, range(1))[0].training["loss_code"] != before


def test_what_is_tested_only_changes_the_cell_and_not_the_training():
    (job,) = plan(TABLE, TABLE.settings, Data, range(1), row="Dice Loss")
    (other,) = plan(TABLE, TABLE.settings.replace(samples=2, keep="val_loss"), Data, range(1), row="Dice Loss")
    assert job.training_digest == other.training_digest
    assert job.digest != other.digest
    assert SimpleNamespace(**job.config).keep == "val_dice"


def test_scans_unlike_the_trainings_are_part_of_the_cell():
    class Shifted(Data):
        shifted = SimpleNamespace(fingerprint="1" * 64)

    (job,) = plan(TABLE, TABLE.settings, Shifted, range(1), row="Dice Loss")
    (other,) = plan(TABLE, TABLE.settings, Data, range(1), row="Dice Loss")
    assert job.config["shifted"] == f"sha256:{'1' * 64}"
    assert "shifted" not in other.config
    assert job.training_digest == other.training_digest
