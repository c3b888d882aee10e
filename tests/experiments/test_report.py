"""Tables come from records, with intervals, flags and the name of the data."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from experiments import report
from keras_uq.metrics import MapStatistics, map_statistics


@pytest.fixture
def run_folder(tmp_path):
    """A run of two rows: two seeds and one."""
    folder = tmp_path / "kethavath2025_table3" / "demo-synthetic_CT"
    rng = np.random.default_rng(0)
    rows = {"Dice Loss": [0, 1], "BCE Loss": [0]}
    for row, seeds in rows.items():
        for seed in seeds:
            cell = folder / f"{row.split()[0].lower()}-seed{seed}"
            cell.mkdir(parents=True)
            (cell / "config.json").write_text(json.dumps({"row": row, "seed": seed}))
            (cell / "provenance.json").write_text(
                json.dumps({"seconds": 1.0, "commit": "abc", "hardware": {}, "packages": {}, "backend": "tensorflow"})
            )
            lines = []
            for case in range(3):
                volume = rng.random((4, 5, 6))
                statistics = map_statistics(volume)._asdict()
                lines.append(
                    {
                        "case": case,
                        **dict.fromkeys(("dice", "sensitivity", "precision"), 0.5 + 0.1 * seed),
                        **{"soft_overlap": 3.0, "soft_predicted": 4.0 + seed, "soft_labelled": 4.0},
                        **{f"uncertainty_{name}": value for name, value in statistics.items()},
                    }
                )
            pd.DataFrame(lines).to_csv(cell / "cases.csv", index=False)
            pd.DataFrame({"epoch": [0, 1], "val_dice": [0.1, 0.4]}).to_csv(cell / "history.csv", index=False)
            picture = rng.random((16, 16))
            np.savez(
                cell / "panel.npz",
                **{"case": np.array("c"), "slice": np.array(2), "image": picture, "mask": picture > 0.5},
                **{"probability": picture, "entropy": picture / 2},
            )
    (folder / "run.json").write_text(
        json.dumps(
            {
                **{"paper": "kethavath2025", "table": "table3", "title": "T", "profile": "demo", "data": "sha256:0"},
                **{"dataset": "synthetic CT", "modality": "CT", "cases": {"train": 5, "validation": 1, "test": 3}},
                **{"departures": ["data: synthetic CT, not msd/Task09_Spleen"], "spread": "slice"},
                **{"reference": "Dice Loss"},
                "rows": ["Log Cosh Loss", "Dice Loss", "BCE Loss"],
            }
        )
    )
    return folder


def test_values_are_pooled_and_intervals_are_over_seeds(run_folder):
    _, table = report.build_table(run_folder)
    line = table.set_index("row").loc["Dice Loss"]
    dice = [2 * 9 / (12 + 12), 2 * 9 / (15 + 12)]
    assert line["dice"] == pytest.approx(np.mean(dice))
    reach = 12.7062047364 * np.std(dice, ddof=1) / math.sqrt(2)  # Student's t, one degree of freedom.
    assert line["dice_high"] - line["dice"] == pytest.approx(reach)
    assert line["uncertainty_std"] == line["uncertainty_std_slice"]
    assert line["dice_hard"] == pytest.approx(0.55)


def test_the_table_names_data_flags_and_missing_cells(run_folder):
    text = report.write_tables(run_folder)
    assert text == (run_folder / "table.md").read_text()
    assert "synthetic CT, profile demo" in text
    assert "SYNTHETIC PHANTOM" in text
    assert "| Log Cosh Loss | 0 | 0.2987 | not run |" in text
    assert "K-DUPSTD" in text
    assert "identical, row by row, to that of Table 2" in text
    assert report.write_tables(run_folder) == text


def test_rows_are_compared_with_the_reference_case_by_case(run_folder):
    comparison = report.build_comparison(run_folder)
    assert set(comparison["row"]) == {"BCE Loss"}
    line = comparison.set_index("measure").loc["Dice at 0.5 of a case"]
    assert line["mean"] == pytest.approx(0.5 - 0.55)  # One seed at 0.5 against the mean of 0.5 and 0.6.
    assert line["low"] == line["high"] == pytest.approx(-0.05)
    soft = comparison.set_index("measure").loc["soft Dice of a case", "mean"]
    assert soft == pytest.approx(6 / 8 - (6 / 8 + 6 / 9) / 2)


def test_the_page_has_its_figures_and_provenance(run_folder):
    report.write_report(run_folder)
    page = (run_folder / "report.html").read_text()
    for name in ("learning_curves", "case_scores", "qualitative"):
        assert f'src="figures/{name}.png"' in page
        assert (run_folder / "figures" / f"{name}.png").stat().st_size > 5000
    assert "abc" in page
    assert "Not a medical device" in page


def test_the_readme_gets_the_tables_of_real_runs(run_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text(f"before\n{report.README_START}\nold\n{report.README_END}\nafter\n")
    run = json.loads((run_folder / "run.json").read_text())
    report.write_readme([run_folder])
    assert "synthetic" not in (tmp_path / "README.md").read_text()  # Demo runs stay out.
    (run_folder / "run.json").write_text(json.dumps({**run, "profile": "small"}))
    (run_folder / "table.md").write_text("the table\n")
    report.write_readme([run_folder])
    text = (tmp_path / "README.md").read_text()
    assert text == f"before\n{report.README_START}\nthe table\n{report.README_END}\nafter\n"


def test_pooling_needs_every_field():
    assert set(MapStatistics._fields) == {"pixels", "slices", "mean", "std_pixel", "slice_mean", "std_slice"}
