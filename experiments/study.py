"""What is measured and drawn of a paper's tables: the part of a report that differs from paper to paper."""

import importlib


class Study:
    """Base of each paper's study. A paper must say what `published`, `measure`, `tests` and `draw` are.

    Attributes:
        measures: `{measure: label}` of those that a published table may have.
        ours: Of further measures with an interval.
        further: Of further measures without one.
        compared: `{column: label}`: what is compared case by case with the reference row.
        headline: Measures of the terminal's table: `{measure: label}`.
        overview: Format of a row in the README's table, from a line of the run's table.
        overview_note: What such a row means; may name the `{dataset}`.
        interval: What square brackets are.
        interval_over_seeds: Whether intervals are over seeds, so that one seed has none.
        beyond: What `ours` and `further` mean, on the page.
        tests_note: What stands above the tests, on the page.
    """

    measures = {}
    ours = {}
    further = {}
    compared = {}
    headline = {}
    overview = ""
    overview_note = ""
    interval = ""
    interval_over_seeds = False
    beyond = ""
    tests_note = ""

    def illustrate(self, data, settings, folder):
        """Write what the figures show of the data into the run's folder."""

    def departures(self, data, about):
        """Sentences on how the data differ from the paper's; `about` is what will stand in `run.json`."""
        return []

    def published(self, run):
        """The paper's table: strings by row, a column for each measure, `flag`, and `dataset`, which is empty if the
        paper prints no numbers."""
        raise NotImplementedError

    def measure(self, run, frames):
        """`{measure: statistics.Interval}` of a row, from frames of its test cases (see `derive`), one per seed."""
        raise NotImplementedError

    def derive(self, cases):
        """The cases with the columns that are compared and not stored."""
        return cases

    def against(self, run, row):
        """The row that a row is compared with."""
        return run["reference"]

    def tests(self, run):
        """Frame of the statistical tests, written to `tests.csv`."""
        raise NotImplementedError

    def notes(self, run):
        """Sentences below every table."""
        return []

    def parts(self, run):
        """`{title: measures}` of the tables that the paper prints of these rows; one without a title by default."""
        return {"": run.shown_measures}

    def sections(self, run):
        """Further tables of the page, `[(title, text, frame)]`; empty frames are left out."""
        return []

    def draw(self, run):
        """`{name: (figure, caption)}` in the order of the page; `None` for one whose pictures are not here."""
        raise NotImplementedError


def of(paper):
    """The `Study` of a paper, by its key."""
    return importlib.import_module(f"experiments.{paper}.study").STUDY
