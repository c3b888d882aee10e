"""A run, read once: what it says about itself, its records, and the frames that follow from them."""

import functools
import math
from pathlib import Path

import pandas as pd

from experiments import study
from experiments.cell_frames import Cell
from experiments.fields import REMEDY_OF_RUN, DamagedRecord, read_about
from experiments.records import open_arrays
from keras_uq import statistics

PUBLISHED = Path(__file__).parent.parent / "results" / "published"
NOTHING = statistics.Interval(math.nan, math.nan, math.nan)
# -log(1 - q) >= 2.4554 q^2 for every q: probabilities of two classes cannot have less, whatever the labels.
LEAST_NLL_OF_BRIER = 2.4554


class ImpossibleScores(ValueError):
    """A record with an NLL that is impossible for its Brier score."""


class Run:
    """The folder of a run. Everything is read or worked out when it is asked for first, and then kept.

    `run["rows"]` is short for `run.about["rows"]`: what the run says about itself in `run.json`.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.about = read_about(self.folder)
        self.study = study.of(self["paper"])
        self.scores, self.panels = functools.cache(self.scores), functools.cache(self.panels)

    def __getitem__(self, key):
        if key not in self.about:
            raise DamagedRecord(f"{self.folder / 'run.json'} lacks {key}. {REMEDY_OF_RUN}")
        return self.about[key]

    @property
    def title(self):
        """Paper, table, data and profile."""
        changes = f", {self['changes']}" if self["changes"] else ""
        return f"{self['paper']}, {self['table']} protocol on {self['dataset']}, profile {self['profile']}{changes}"

    @functools.cached_property
    def cells(self):
        """Every recorded `Cell`, in the order of the folders."""
        return [Cell(path.parent) for path in sorted(self.folder.glob("*/provenance.json"))]

    @functools.cached_property
    def damaged(self):
        """Sentences on the cells that are not what they were, or that the table would leave out. Reads everything."""
        reasons, places = [], {}
        for path in sorted(self.folder.glob("*/provenance.json")):
            try:
                cell = Cell(path.parent).check()
            except DamagedRecord as error:
                reasons.append(str(error))
                continue
            other = places.setdefault((cell.row, cell.seed), cell.folder)
            if other != cell.folder:
                reasons.append(
                    f"{cell.folder} and {other} are both of row {cell.row!r}, seed {cell.seed}. Remove one of them."
                )
            if cell.row not in self["rows"]:
                reasons.append(
                    f"{cell.folder} is of row {cell.row!r}, which {self.folder / 'run.json'} does not list. Add it "
                    "there, or remove the folder."
                )
        return reasons

    @property
    def on_other_data(self):
        """Names of the folders of cells that were made from other data than `run.json` names."""
        return [cell.folder.name for cell in self.cells if cell.provenance.get("data", self["data"]) != self["data"]]

    @functools.cached_property
    def by_row(self):
        """`{row: its cells}`, ordered by seed, of the rows that have any, in the order of the table."""
        cells = sorted(self.cells, key=lambda cell: cell.seed)
        recorded = {cell.row for cell in cells}
        return {row: [cell for cell in cells if cell.row == row] for row in self["rows"] if row in recorded}

    @functools.cached_property
    def by_seed(self):
        """`{(row, seed): cell}`."""
        return {(cell.row, cell.seed): cell for cell in self.cells}

    @functools.cached_property
    def first(self):
        """`{row: the cell of its first seed}`, in the order of the table."""
        return {row: cells[0] for row, cells in self.by_row.items()}

    def frames(self, part="test"):
        """`{row: frames of the cases of a set, one per seed}`, with the columns of `Study.derive`."""
        return {row: [self.study.derive(cell.cases(part)) for cell in cells] for row, cells in self.by_row.items()}

    @functools.cached_property
    def histories(self):
        """`{row: histories of its trainings, one per seed}` of the rows whose cells were all trained."""
        return {
            row: [cell.frame("history.csv") for cell in cells]
            for row, cells in self.by_row.items()
            if all(cell.has("history.csv") for cell in cells)
        }

    @functools.cached_property
    def published(self):
        """The paper's table, as `Study.published`."""
        return self.study.published(self)

    @functools.cached_property
    def printed_on(self):
        """The data of the printed numbers; empty if the paper prints none."""
        return self.published["dataset"].iloc[0]

    @functools.cached_property
    def shown_measures(self):
        """The measures that the published table prints."""
        return [measure for measure in self.study.measures if measure in self.published]

    @functools.cached_property
    def table(self):
        """The table: published beside measured, in the order of the paper, the user's rows last."""
        by_row, lines = self.frames(), []
        for row in self["rows"]:
            frames = by_row.get(row, [])
            values = self.study.measure(self, frames) if frames else {}
            line = {"row": row, "seeds": len(frames)}
            for measure in [*self.shown_measures, *self.study.ours]:
                if measure in self.study.measures:
                    line[f"{measure}_published"] = self.published[measure].get(row, "")
                line[measure], line[f"{measure}_low"], line[f"{measure}_high"] = values.get(measure, NOTHING)
            for measure in self.study.further:
                line.setdefault(measure, values.get(measure, NOTHING).mean)
            flag = self.published["flag"].get(row)
            line["flag"] = flag if isinstance(flag, str) else ""
            lines.append(line)
        return pd.DataFrame(lines)

    def scores(self, part="test"):
        """`{row: frame of the compared columns by case}`, means over seeds."""
        return {
            row: pd.concat(frames).groupby("case")[list(self.study.compared)].mean()
            for row, frames in self.frames(part).items()
        }

    def both(self, first, second):
        """`{label: (scores of a row, scores of another)}` by case, of the measures that some case has in both."""
        scores, both = self.scores(), {}
        if first in scores and second in scores:
            for column, label in self.study.compared.items():
                pair = scores[first][column], scores[second][column]
                if (pair[0] - pair[1]).notna().any():
                    both[label] = pair
        return both

    @functools.cached_property
    def pairs(self):
        """`(row, against, measure, scores of the row, scores of the other)` of rows that are compared with another."""
        against = {row: self.study.against(self, row) for row in self.by_row}
        return [
            (row, other, label, *pair)
            for row, other in against.items()
            if other != row
            for label, pair in self.both(row, other).items()
        ]

    @functools.cached_property
    def comparison(self):
        """Difference of each row to another, over test cases (means of seeds), with bootstrap interval."""
        lines = []
        for row, against, measure, *pair in self.pairs:
            difference = statistics.paired_bootstrap(*pair)
            lines.append({"row": row, "against": against, "measure": measure, **difference._asdict()})
        return pd.DataFrame(lines, columns=["row", "against", "measure", "mean", "low", "high"])

    @functools.cached_property
    def tests(self):
        """The paper's tests, as `Study.tests`."""
        return self.study.tests(self)

    @functools.cached_property
    def chosen_cases(self):
        """`{"best": case, "worst": case}`: highest and lowest Dice at 0.5, median over rows, each row's first seed."""
        dice = pd.DataFrame({row: cell.cases().set_index("case")["dice"] for row, cell in self.first.items()})
        median = dice.median(axis=1).dropna()
        return {} if median.empty else {"best": median.idxmax(), "worst": median.idxmin()}

    def panels(self, which):
        """The best or the worst case, and `{row: {kind: picture}}` of it; `None` without pictures."""
        path = self.folder / "panels.npz"
        if not path.exists():
            return None
        rows = {}
        with open_arrays(path) as panels:
            for row in self["rows"]:
                prefix = f"{which}|{row}|"
                kinds = {name.removeprefix(prefix): panels[name] for name in panels.files if name.startswith(prefix)}
                if kinds:
                    rows[row] = kinds
            return (str(panels[f"{which}|case"]), rows) if rows else None


def read_published(name):
    """A published table as printed, strings."""
    return pd.read_csv(PUBLISHED / f"{name}.csv", dtype=str, keep_default_na=False)


def joined_flags(*flags):
    """The codes of several flags, each once."""
    return ";".join(dict.fromkeys(code for flag in flags for code in flag.split(";") if code))


def check_possible(cases, nll="nll", brier="brier", least=LEAST_NLL_OF_BRIER):
    """Raise `ImpossibleScores` if a case's NLL is below `least` times its Brier score."""
    below = cases[cases[nll] < least * cases[brier] - 1e-9]
    if len(below):
        first = below.iloc[0]
        raise ImpossibleScores(
            f"Case {first['case']}: an NLL of {first[nll]} is impossible with a Brier score of {first[brier]}. The "
            "cell's scores are wrong: remove its folder to run it again."
        )


def mean_over_cases(values):
    """Mean of a score over the cases that have it, with its bootstrap interval; NaN if none has."""
    defined = values.dropna()
    return NOTHING if defined.empty else statistics.paired_bootstrap(defined, [0.0] * len(defined))


def plain(value):
    """A number that has no interval."""
    return statistics.Interval(float(value), math.nan, math.nan)


def spread_over_seeds(frames, names):
    """`{<name>_seeds: standard deviation over seeds of the mean over cases}`; NaN for one seed."""
    means = pd.DataFrame([cases[names].mean() for cases in frames])
    return {f"{name}_seeds": plain(means[name].std()) for name in names}
