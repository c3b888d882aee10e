"""The commands of the Makefile, with an interpreter that only writes down what it was called with."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments import reproduce

ROOT = Path(__file__).parent.parent
# Runs `experiments.reproduce`, and instead of a table appends its arguments to calls.jsonl.
STUB = f"""#!{sys.executable}
import json, os, sys, time
sys.path.insert(0, os.getcwd())
if "experiments.reproduce" in sys.argv:
    import runpy
    sys.executable, sys.argv = __file__, sys.argv[2:]
    runpy.run_module("experiments.reproduce", run_name="__main__")
with open("calls.jsonl", "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if os.environ.get("STUB_WAITS"):
    with open("waits", "w") as file:
        file.write(str(os.getpid()))
    time.sleep(60)
sys.exit(int(os.environ.get("STUB_FAILS", "") in sys.argv))
"""
# What make, the shell or argparse would make something else of.
ODD = [
    "$(shell touch made)",
    "${shell touch made}",
    "$$(touch made)",
    "`touch made`",
    "; touch made",
    '"; touch made; "',
    "' ; touch made; '",
    "| tee made",
    "my scans/of 2026",
    "it's",
    "$HOME",
    "$(DATA)",
    "#1",
    "back\\",
    "-minus",
    "two\nlines",
]


class Folder:
    """A copy of the Makefile beside our experiments, and an environment with the interpreter above."""

    def __init__(self, path):
        self.path = path
        for name in ("setup.cfg", "pyproject.toml"):
            (path / name).touch()
            os.utime(path / name, (0, 0))
        shutil.copy(ROOT / "Makefile", path / "Makefile")
        (path / "experiments").symlink_to(ROOT / "experiments")
        (path / "keras_uq").symlink_to(ROOT / "keras_uq")
        for environment in (".venv", ".venv-torch", ".venv-peers", ".venv-addons"):
            (path / environment / "bin").mkdir(parents=True)
            (path / environment / "bin" / "python").write_text(STUB)
            (path / environment / "bin" / "python").chmod(0o755)
            (path / environment / ".ready").touch()
        (path / ".venv" / ".jax").touch()
        self.files = set(os.listdir(path))

    def make(self, *arguments, status=0, **environment):
        """Run make. Returns what it printed."""
        environment = {"PATH": os.environ["PATH"], "HOME": "/home", **environment}
        done = subprocess.run(
            ["make", *arguments], cwd=self.path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert set(os.listdir(self.path)) - self.files <= {"calls.jsonl"}, "something was run"
        return done.stdout + done.stderr

    def calls(self):
        """Modules and arguments of the calls so far."""
        return [json.loads(line)[1:] for line in (self.path / "calls.jsonl").read_text().splitlines()]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def settings_of(call):
    """`{name: value}` of the options of a call."""
    parser = argparse.ArgumentParser()
    for name in reproduce.SETTINGS:
        parser.add_argument(f"--{name.lower()}")
    return {name: value for name, value in vars(parser.parse_args(call[1:])).items() if value is not None}


@pytest.mark.parametrize("value", ODD)
def test_a_setting_arrives_as_it_was_typed(folder, value):
    folder.make("reproduce-table2", f"DATASET={value}", "DATA=archives")
    folder.make("reproduce-table2", DATASET=value, DATA="archives")
    folder.make("--environment-overrides", "reproduce-table2", "ROW=Dice Loss", DATASET=value)
    first, second, third = folder.calls()
    assert first == second
    assert first[0] == third[0] == "experiments.kethavath2025.table2"
    assert settings_of(first) == {"dataset": value, "data": "archives"}
    assert settings_of(third) == {"dataset": value, "row": "Dice Loss"}


@pytest.mark.parametrize("value", [value.replace("/", "-") for value in ODD])
def test_the_name_of_a_table_or_paper_is_never_run(folder, value):
    assert "has no table" in folder.make(f"reproduce-{value}", status=2)
    assert "There is no paper" in folder.make("reproduce-table2", f"PAPER={value}", status=2)
    assert "has no table 'x'" in folder.make("reproduce-x", f"TARGET={value}", status=2)


@pytest.mark.parametrize("name", reproduce.SETTINGS)
def test_every_setting_is_an_option_of_the_table(folder, name):
    folder.make("reproduce-table2", f"{name}=$(shell touch made) 1")
    folder.make("reproduce-table2", f"{name}=")
    given, empty = folder.calls()
    assert settings_of(given) == {name.lower(): "$(shell touch made) 1"}
    assert settings_of(empty) == {}


def test_the_commands_of_the_readme(folder):
    folder.make("reproduce-table4", "PAPER=yeung2021", "SPLIT=sequences")
    folder.make("reproduce-table4", PAPER="yeung2021", ROW="DSC++")
    folder.make("reproduce-tableS3", "PAPER=mehrtash2020")
    assert folder.calls() == [
        ["experiments.yeung2021.table4", "--split=sequences"],
        ["experiments.yeung2021.table4", "--row=DSC++"],
        ["experiments.mehrtash2020.tableS3"],
    ]


def test_all_tables_of_a_paper_run_though_one_fails(folder):
    options = ("PROFILE=small", "DATA=archives", "DATASET=msd/Task04_Hippocampus")
    failing = {"STUB_FAILS": "experiments.kethavath2025.table3"}
    assert "Error 1" in folder.make("reproduce-kethavath2025", *options, status=2, **failing)
    folder.make("reproduce-kethavath2025", *options)
    modules = [f"experiments.kethavath2025.table{number}" for number in range(2, 8)]
    arguments = ["--profile=small", "--data=archives", "--dataset=msd/Task04_Hippocampus"]
    assert folder.calls() == [[module, *arguments] for module in 2 * modules]


def test_unknown_names_are_answered_with_those_there_are(folder):
    printed = folder.make("reproduce-table9", status=2)
    assert "'kethavath2025' has no table 'table9'" in printed
    assert "  yeung2021: table3, table4, table5" in printed
    assert "There is no paper 'yeung'" in folder.make("reproduce-table4", "PAPER=yeung", status=2)
    for outside in ("PAPER=..", "PAPER=benchmarks", f"PAPER={ROOT}"):
        assert "There is no paper" in folder.make("reproduce-table2", outside, status=2)


def test_a_table_ends_with_make(folder):
    environment = {"PATH": os.environ["PATH"], "STUB_WAITS": "1"}
    with subprocess.Popen(["make", "reproduce-kethavath2025"], cwd=folder.path, env=environment) as process:
        started = folder.path / "waits"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (started.exists() and started.read_text()):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
    table = int(started.read_text())
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(table, 0)
            time.sleep(0.02)
    assert len(folder.calls()) == 1


def test_the_environment_is_one_folder(folder):
    for value in ("", "a b", "$(shell touch made)"):
        assert "path without blanks" in folder.make("lint", f"VENV={value}", status=2)
    shutil.copytree(folder.path / ".venv", folder.path / "`x`$HOME")
    folder.files.add("`x`$HOME")
    folder.make("tables", "VENV=`x`$HOME")
    assert folder.calls() == [["experiments.report"]]


def test_each_command_starts_what_its_name_says(folder):
    (folder.path / ".venv" / "bin" / "ruff").symlink_to("python")
    for command in ("test", "test-slow", "test-jax", "test-torch", "types", "tables", "benchmark", "lint"):
        folder.make(command)
    test, slow, jax, torch, types, tables, benchmark, check, style = folder.calls()
    assert test[0] == slow[0] == jax[0] == torch[0] == "pytest"
    assert types == ["tests.types"]
    assert "-m" not in test
    assert slow[-2:] == ["-m", "slow"]
    for name in [*jax, *torch]:
        assert not name.startswith("tests/") or (ROOT / name.partition("::")[0]).exists(), name
    assert {"tests/losses", "tests/metrics/test_dice_metric.py"} <= set(jax) & set(torch)
    assert (tables, benchmark) == (["experiments.report"], ["experiments.benchmarks"])
    assert (check, style) == (["."], ["--check", "."])


def test_the_list_of_commands_is_whole(folder):
    printed = folder.make()
    makefile = (ROOT / "Makefile").read_text()
    (phony,) = [line.split()[1:] for line in makefile.splitlines() if line.startswith(".PHONY:")]
    listed = {line.split()[0] for line in printed.splitlines() if line.startswith("  ")}
    assert listed == {*phony, "reproduce-%"}


def test_clean_removes_every_environment(folder):
    environments = {name for name in folder.files if name.startswith(".venv")}
    folder.make("clean")
    assert set(os.listdir(folder.path)) == folder.files - environments
    rules = [line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if "/.ready:" in line]
    assert {rule.replace("$(VENV)", ".venv").removesuffix("/.ready") for rule in rules} | {".venv"} == environments
