"""Options of a table's command: each has a range, and those that would do nothing are refused."""

import re

import pytest

from experiments import command
from experiments.choices import FirstSeeds
from experiments.options import check, parser
from experiments.table import Row
from keras_uq import losses
from tests.experiments.tiny import TABLE

OUT_OF_RANGE = {
    "--seed": ["-1", "4294967296", "1.5", "one", ""],
    "--seeds": ["0", "-2", "1001", "nan"],
    "--epochs": ["0", "-5", "1e3"],
    "--filters": ["0", "-4", "99999"],
    "--foreground": ["0", "1,0", "256", "-1", "1,1", "one", "", "1,"],
    "--split": ["", "../x", "a b"],
    "--dataset": ["", " ", "/x", "../x", "a/../b", ".", "a\0b", "a\x1b[31m"],
    "--data": ["", " ", "a\0b"],
    "--results": ["", "a\0b"],
    "--tensorboard": [""],
    "--row": ["", " "],
    "--loss": [""],
    "--profile": ["nope"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in OUT_OF_RANGE for value in OUT_OF_RANGE[name]])
def test_values_out_of_range_are_refused_by_name(name, value, capsys):
    with pytest.raises(SystemExit) as stop:
        parser(TABLE).parse_args([f"{name}={value}"])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert f"argument {name}: " in message
    assert "expected" in message or "choose from" in message


def test_one_dataset_and_one_foreground_have_one_name():
    options = parser(TABLE).parse_args(["--dataset", "./msd//Task07/", "--foreground", "2,1"])
    assert (options.dataset, options.foreground) == ("msd/Task07", (1, 2))


def test_options_are_written_out():
    with pytest.raises(SystemExit):
        parser(TABLE).parse_args(["--res", "x"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "1", "--seeds", "2"], "--seeds 2 does nothing beside --seed 1"),
        (["--data", "."], "--data . does nothing here: the run is on synthetic CT"),
        (["--data", ".", "--dataset", "synthetic CT"], "--data . does nothing here"),
        (["--profile", "paper", "--data", "nowhere"], "--data nowhere is no folder"),
        (["--row", "Lovasz"], "no row 'Lovasz'. Rows: "),
    ],
)
def test_options_that_do_nothing_or_name_nothing_are_refused(arguments, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        check(parser(TABLE).parse_args(arguments), TABLE)


def test_more_epochs_than_the_protocol_has_are_refused():
    options = parser(TABLE).parse_args(["--profile", "paper", "--epochs", "4"])
    with pytest.raises(ValueError, match="--epochs 4 does nothing: training has at most 4 epochs"):
        command.changed(TABLE, options)
    options.epochs = 3
    assert command.changed(TABLE, options)[1].epochs == 3


def test_a_command_without_a_cell_is_refused():
    table = TABLE.__class__(**{**vars(TABLE), "rows": (*TABLE.rows, Row("once", losses.Dice(), seeds=FirstSeeds(1)))})
    for arguments in (["--row", "once", "--seed", "1"], ["--row", "once", "--seed", "7"]):
        with pytest.raises(ValueError, match="--row 'once' has no cell for seed"):
            check(parser(table).parse_args(arguments), table)
    check(parser(table).parse_args(["--row", "once", "--seed", "0"]), table)


@pytest.mark.parametrize("name", ["--results", "--tensorboard"])
def test_folders_that_cannot_be_made_are_refused_before_anything_is_prepared(name, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below", "/proc/x"):
        with pytest.raises(ValueError, match=f"{name} .* cannot be written: .*Expected a folder"):
            check(parser(TABLE).parse_args([name, str(place)]), TABLE)
    check(parser(TABLE).parse_args([name, str(tmp_path / "new" / "runs")]), TABLE)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
