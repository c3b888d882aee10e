"""Tables come from records, with intervals, flags and the name of the data."""

import json
import math
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from experiments import figures, report
from experiments.pages import markdown, terminal
from experiments.run import Run
from keras_uq.metrics import map_statistics
from tests.experiments.made_records import record_again, run_facts, write_record

ROWS = {"Dice Loss": [0, 1], "BCE Loss": [0], "Hybrid Loss": [0]}


@pytest.fixture
def run_folder(tmp_path):
    """A run of three rows, one with two seeds; case 2 is the best of all, case 1 the worst."""
    folder = tmp_path / "kethavath2025_table3" / "demo-synthetic_CT"
    rng = np.random.default_rng(0)
    for number, (row, seeds) in enumerate(ROWS.items()):
        for seed in seeds:
            cell = folder / f"{row.split()[0].lower()}-seed{seed}"
            cell.mkdir(parents=True)
            lines, slices, panels = [], [], {}
            for part, case in [("test", f"c{n}") for n in range(3)] + [("validation", f"v{n}") for n in range(3)]:
                volume = rng.uniform(0.1, 0.6, (4, 16, 16)) * (1 + 0.1 * number)
                statistics = map_statistics(volume)._asdict()
                score = 0.5 + 0.1 * seed + {"c2": 0.2, "c1": -0.2}.get(case, 0)
                lines.append(
                    {
                        **{"set": part, "case": case, "error_rate": 0.02, "error_detection_auroc": 0.9},
                        **dict.fromkeys(("dice", "sensitivity", "precision"), score),
                        **{"soft_overlap": 3.0, "soft_predicted": 4.0 + seed, "soft_labelled": 4.0},
                        **{"uncertainty_error_overlap": math.nan if case == "c0" else 0.4},
                        **{"risk_coverage_area": 0.01, "risk_coverage_excess_area": 0.001},
                        **{
                            f"{name}_{key}": value
                            for name in ("uncertainty", "prediction", "mutual_information")
                            for key, value in statistics.items()
                        },
                    }
                )
                means = volume.mean(axis=(1, 2))
                slices += [
                    {"set": part, "case": case, "slice": at, "labelled": 3, "uncertainty": mean, "prediction": mean}
                    for at, mean in enumerate(means)
                ]
                if part == "test":
                    for kind in ("image", "probability", "entropy"):
                        panels[f"{case}|{kind}"] = volume[0]
                    panels |= {f"{case}|mask": volume[0] > 0.4, f"{case}|predicted": volume[0] > 0.5}
                    panels[f"{case}|slice"] = np.array(7)
            pd.DataFrame(lines).to_csv(cell / "cases.csv", index=False)
            pd.DataFrame(slices).to_csv(cell / "slices.csv", index=False)
            pd.DataFrame({"epoch": [0, 1], "val_dice": [0.1, 0.4]}).to_csv(cell / "history.csv", index=False)
            np.savez(cell / "panels.npz", **panels)
            write_record(cell, row, seed)
    picture = rng.random((16, 16))
    stages = {"original": 300 * picture, "rescaled": picture, "filtered": picture}
    np.savez(folder / "example.npz", case=np.array("c0"), slice=np.array(2), mask=picture > 0.5, **stages)
    departures = ["data: synthetic CT, not msd/Task09_Spleen"]
    facts = run_facts(departures=departures, rows=["Log Cosh Loss", *ROWS, "MyLoss"])
    (folder / "run.json").write_text(json.dumps(facts))
    return folder


def test_values_are_pooled_and_intervals_are_over_seeds(run_folder):
    line = Run(run_folder).table.set_index("row").loc["Dice Loss"]
    dice = [2 * 9 / (12 + 12), 2 * 9 / (15 + 12)]
    assert line["dice"] == pytest.approx(np.mean(dice))
    reach = 12.7062047364 * np.std(dice, ddof=1) / math.sqrt(2)  # Student's t, one degree of freedom.
    assert line["dice_high"] - line["dice"] == pytest.approx(reach)
    assert line["uncertainty_std"] == line["uncertainty_std_slice"]
    assert line["dice_hard"] == pytest.approx(0.55)
    assert line["uncertainty_error_overlap"] == pytest.approx(0.4)  # A case without errors is left out.


def test_the_table_names_data_flags_and_missing_cells(run_folder):
    text = report.write(Run(run_folder))
    assert text == (run_folder / "table.md").read_text()
    assert "synthetic CT, profile demo" in text
    assert "SYNTHETIC PHANTOM" in text
    assert "| Log Cosh Loss | 0 | 0.2987 | not run |" in text
    assert "K-DUPSTD" in text
    assert "identical, row by row, to that of Table 2" in text
    assert report.write(Run(run_folder)) == text


def test_rows_are_compared_with_the_reference_case_by_case(run_folder):
    comparison = Run(run_folder).comparison
    assert set(comparison["row"]) == {"BCE Loss", "Hybrid Loss"}
    comparison = comparison[comparison["row"] == "BCE Loss"]
    line = comparison.set_index("measure").loc["Dice at 0.5 of a case"]
    assert line["mean"] == pytest.approx(0.5 - 0.55)  # One seed at 0.5 against the mean of 0.5 and 0.6.
    assert (line["low"], line["high"]) == pytest.approx((-0.05, -0.05))
    soft = comparison.set_index("measure").loc["soft Dice of a case", "mean"]
    assert soft == pytest.approx(6 / 8 - (6 / 8 + 6 / 9) / 2)


def test_all_rows_together_are_tested_over_volumes_and_slices(run_folder):
    tests = Run(run_folder).tests
    assert len(tests) == 2 * (2 * 2 + 1)  # Two sets; two measures by two tests over volumes, one over slices.
    values = {}
    for row, seeds in ROWS.items():
        cells = [run_folder / f"{row.split()[0].lower()}-seed{seed}" for seed in seeds]
        frames = [pd.read_csv(cell / "slices.csv").query("set == 'validation'") for cell in cells]
        values[row] = sum(frame["uncertainty"].to_numpy() for frame in frames) / len(frames)
    by_slice = stats.f_oneway(*values.values())
    by_volume = stats.f_oneway(*(each.reshape(3, 4).mean(axis=1) for each in values.values()))
    validation = tests[(tests["set"] == "validation") & (tests["measure"] == "mean uncertainty")]
    found = validation.set_index(["test", "unit"])
    assert found.loc[("ANOVA", "slice"), "statistic"] == pytest.approx(by_slice.statistic)
    assert found.loc[("ANOVA", "volume"), "p"] == pytest.approx(by_volume.pvalue)
    assert found.loc[("ANOVA", "slice"), "n"] == 3 * 12
    friedman = stats.friedmanchisquare(*(each.reshape(3, 4).mean(axis=1) for each in values.values()))
    assert found.loc[("Friedman", "volume"), "statistic"] == pytest.approx(friedman.statistic)
    for cell in run_folder.glob("hybrid-*"):
        (cell / "provenance.json").unlink()
    assert Run(run_folder).tests.empty  # Two rows are no question for these tests.


def test_the_best_and_the_worst_case_follow_the_rule(run_folder):
    assert Run(run_folder).chosen_cases == {"best": "c2", "worst": "c1"}
    figures.choose_panels(Run(run_folder))
    with np.load(run_folder / "panels.npz") as panels:
        assert str(panels["best|case"]) == "c2"
        with np.load(run_folder / "bce-seed0" / "panels.npz") as cell:
            np.testing.assert_array_equal(panels["worst|BCE Loss|entropy"], cell["c1|entropy"])
    before = (run_folder / "panels.npz").read_bytes()
    (run_folder / "bce-seed0" / "panels.npz").unlink()  # A fresh clone: the cells' pictures are not committed.
    figures.choose_panels(Run(run_folder))
    assert (run_folder / "panels.npz").read_bytes() == before


def test_the_page_has_its_figures_and_provenance(run_folder):
    report.write(Run(run_folder), figures=True)
    page = (run_folder / "report.html").read_text()
    names = ["preparation", "learning_curves", "case_scores", "violin", "confidence"]
    for name in (*names, "qualitative_best", "qualitative_worst"):
        assert f'src="figures/{name}.png"' in page
        assert (run_folder / "figures" / f"{name}.png").stat().st_size > 1000
    for words in ("abc", "not a medical device", "F = 2.14e8", "Friedman", "c2, the slice with most", "MyLoss"):
        assert words in page
    assert "\n[" in page  # Intervals stand below their values.
    assert "\\n" not in page
    assert "<dd>12</dd>" in page  # Seconds: four cells of two for training and one for scoring.


def test_the_readme_gets_the_tables_of_real_runs_side_by_side(run_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text(f"before\n{markdown.README_START}\nold\n{markdown.README_END}\nafter\n")
    run = json.loads((run_folder / "run.json").read_text())
    markdown.write_readme([Run(run_folder)])
    assert (tmp_path / "README.md").read_text() == f"before\n{markdown.README_START}\n{markdown.README_END}\nafter\n"
    (run_folder / "run.json").write_text(json.dumps({**run, "profile": "small", "dataset": "msd/X"}))
    other = run_folder.parent / "other"
    shutil.copytree(run_folder, other)
    changed = {**run, "profile": "small", "dataset": "msd/X", "changes": "filters8", "table": "table7"}
    (other / "run.json").write_text(json.dumps(changed))
    markdown.write_readme([Run(run_folder), Run(other)])
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{markdown.README_END}\nafter\n")
    assert "old" not in text
    line = next(line for line in text.splitlines() if line.startswith("| Dice |"))
    soft = (2 * 9 / 24 + 2 * 9 / 27) / 2
    assert line == f"| Dice | 0.8733 → {soft:.3f} / 0.550 | 0.8697 → {soft:.3f} / 0.550 |"
    assert "| MyLoss | not run | not run |" in text
    assert "table.md) filters8 (spleen)" in text
    assert "| seeds | 1 to 2 | 1 to 2 |" in text


def test_scores_are_those_of_the_test_cases(run_folder):
    for path in run_folder.glob("*/cases.csv"):
        cases = pd.read_csv(path)
        cases.loc[cases["set"] == "validation", "dice"] = 0.01
        cases.to_csv(path, index=False)
        record_again(path.parent, json.loads(path.with_name("provenance.json").read_text()))
    run = Run(run_folder)
    assert run.table.set_index("row").loc["BCE Loss", "dice_hard"] == pytest.approx(0.5)
    assert run.scores("test")["BCE Loss"]["dice"].mean() == pytest.approx(0.5)
    assert run.scores("validation")["BCE Loss"]["dice"].mean() == pytest.approx(0.01)


def test_soft_dice_is_pooled_over_cases_and_not_averaged(run_folder):
    path = run_folder / "bce-seed0" / "cases.csv"
    cases = pd.read_csv(path)
    cases.loc[cases["case"] == "c0", ["soft_overlap", "soft_predicted", "soft_labelled"]] = (90.0, 100.0, 100.0)
    cases.to_csv(path, index=False)
    record_again(path.parent, json.loads(path.with_name("provenance.json").read_text()))
    line = Run(run_folder).table.set_index("row").loc["BCE Loss"]
    assert line["dice"] == pytest.approx(2 * (90 + 3 + 3) / (100 + 4 + 4 + 100 + 4 + 4))


def test_markdown_has_flags_and_says_whose_data_were_measured(run_folder):
    text = report.write(Run(run_folder))
    heads = next(line for line in text.splitlines() if line.startswith("| loss"))
    assert heads.endswith("| flags |")
    assert next(line for line in text.splitlines() if line.startswith("| Log Cosh Loss")).endswith("| K-DUPSTD |")
    assert "Measured on other data than the paper's: the columns are not comparable." in text
    run = json.loads((run_folder / "run.json").read_text())
    (run_folder / "run.json").write_text(json.dumps({**run, "departures": ["epochs 5 for 20"]}))
    assert "Measured on other data" not in report.write(Run(run_folder))


def test_the_page_escapes_names_and_lists_commits_and_shared_cells(run_folder):
    run = json.loads((run_folder / "run.json").read_text())
    evil = "<script>alert(1)</script>"
    (run_folder / "run.json").write_text(json.dumps({**run, "rows": [*run["rows"], evil], "title": evil}))
    for name, facts in (("dice-seed1", {"commit": "def"}), ("bce-seed0", {"shared_with": "t_table2/run/bce-seed0"})):
        path = run_folder / name / "provenance.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))
    report.write(Run(run_folder))
    page = (run_folder / "report.html").read_text()
    assert evil not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3
    assert "<dd>abc, def</dd>" in page
    assert "<dt>cells shared with</dt><dd>t_table2/run</dd>" in page


def second_run(run_folder):
    other = run_folder.parent / "demo-other"
    shutil.copytree(run_folder, other)
    return other


def test_a_damaged_cell_is_named_and_the_other_runs_are_written(run_folder, capsys):
    other = second_run(run_folder)
    (other / "dice-seed1" / "cases.csv").write_text("set,case,dice\n")
    (other / "bce-seed0" / "provenance.json").write_text("[]")
    assert report.main([str(other), str(run_folder)]) == 1
    message = capsys.readouterr().err.splitlines()
    assert len(message) == 2
    assert f"No table: {other / 'bce-seed0' / 'provenance.json'}: expected" in message[0]
    assert "cases.csv was changed after it was written" in message[1]
    assert not (other / "table.csv").exists()
    assert (run_folder / "table.csv").exists()


@pytest.mark.parametrize("change", ["a bug", "wrong scores", "no picture"])
def test_what_keeps_a_table_from_being_made_is_one_line(run_folder, monkeypatch, capsys, change):
    if change == "a bug":
        monkeypatch.setattr(report.markdown, "table", lambda run: {}["x"])
    elif change == "wrong scores":
        write_record(run_folder / "dice-seed0", "Dice Loss", 1)
    else:
        (run_folder / "example.npz").write_bytes(b"PK")
    assert report.main(["--figures", str(run_folder)]) == 1
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    reasons = {"a bug": "KeyError: 'x'. The traceback is in", "wrong scores": "both of row 'Dice Loss', seed 1"}
    assert reasons.get(change, "example.npz cannot be read") in printed.err


def test_what_is_no_run_is_refused(run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for arguments, words in (
        ([str(tmp_path / "none")], "none is no run: it has no run.json. Expected folders such as results/runs/"),
        ([str(run_folder), ""], "argument run: expected a folder"),
        (["--fig"], "unrecognized arguments: --fig"),
        ([], "there is no run below"),
    ):
        with pytest.raises(SystemExit) as stop:
            report.main(arguments)
        assert stop.value.code == 2
        assert words in capsys.readouterr().err
    assert not (run_folder / "table.csv").exists()
    for path in run_folder.glob("*/provenance.json"):
        path.unlink()
    assert report.main([str(run_folder)]) == 1
    assert "holds no finished cell" in capsys.readouterr().err


def test_all_runs_are_found_and_the_readme_lacks_none(run_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    shutil.copytree(run_folder.parent, tmp_path / "results" / "runs" / run_folder.parent.name)
    text = f"{markdown.README_START}\nold\n{markdown.README_END}\n"
    (tmp_path / "README.md").write_text(text)
    (tmp_path / ".keras-uq-other-host-1-abcdef.md").touch()
    os.utime(tmp_path / ".keras-uq-other-host-1-abcdef.md", (0, 0))
    copy = tmp_path / "results" / "runs" / run_folder.parent.name / run_folder.name
    about = (copy / "run.json").read_text()
    (copy / "run.json").unlink()  # Its cells are still there.
    assert report.main([]) == 1
    printed = capsys.readouterr()
    assert "run.json: no such file or directory" in printed.err
    assert "README.md was left as it is" in printed.err
    assert (tmp_path / "README.md").read_text() == text
    (copy / "run.json").write_text(about)
    assert report.main([]) == 0
    assert "old" not in (tmp_path / "README.md").read_text()
    assert not list(tmp_path.glob(".keras-uq-*"))


def test_damaged_captions_are_named(run_folder, capsys):
    for content in ("{", "[]", '{"a": 1}'):
        (run_folder / "figures").mkdir(exist_ok=True)
        (run_folder / "figures" / "captions.json").write_text(content)
        assert report.main([str(run_folder)]) == 1
        assert "captions.json is damaged" in capsys.readouterr().err


def test_names_are_no_markup_in_any_table(run_folder, capsys):
    evil = "[/x] a|b <script> =1+1"
    about = json.loads((run_folder / "run.json").read_text())
    about |= {"rows": [*about["rows"], evil, "=1+1"], "dataset": "[/y] <b>"}
    (run_folder / "run.json").write_text(json.dumps(about))
    run = Run(run_folder)
    text = report.write(run)
    line = next(line for line in text.splitlines() if "[/x]" in line)
    assert line.startswith(r"| [/x] a\|b &lt;script> =1+1 | 0 |")
    assert "<" not in text
    assert "\n'=1+1,0," in (run_folder / "table.csv").read_text()
    Console(width=300).print(terminal.table(run))
    printed = capsys.readouterr().out
    assert "[/x] a|b <script> =1+1" in printed
    assert "on [/y] <b>, profile demo" in printed


def test_cells_of_other_data_are_named_under_the_table(run_folder):
    path = run_folder / "dice-seed1" / "provenance.json"
    assert "MIXED DATA" not in report.write(Run(run_folder))
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": "sha256:1"}))
    assert "MIXED DATA: dice-seed1 were made from other data" in report.write(Run(run_folder))
