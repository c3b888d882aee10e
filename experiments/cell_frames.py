"""The record of a cell as frames."""

import functools
import io

import pandas as pd

from experiments.csv_cells import unshielded
from experiments.fields import DamagedRecord
from experiments.records import REMEDY, Record


class Cell(Record):
    """The record of a cell as frames."""

    def __init__(self, folder):
        super().__init__(folder)
        self.frame, self.cases = functools.cache(self.frame), functools.cache(self.cases)

    def frame(self, name):
        """A CSV file of the record; empty if nothing was written to it. Do not change it."""
        content = self.read(name)
        if not content:
            return pd.DataFrame()
        try:
            columns = pd.read_csv(io.BytesIO(content), nrows=0)
            # A case may be called 007 or NA, which are text in its column alone.
            nothing = {column: ["", "nan"] for column in columns if column != "case"}
            typed = {"dtype": {"case": "str"}, "keep_default_na": False, "na_values": nothing}
            frame = pd.read_csv(io.BytesIO(content), **typed)
        except ValueError as error:
            raise DamagedRecord(f"{self.folder / name} is no table ({error}). {REMEDY}") from None
        return frame.assign(case=frame["case"].map(unshielded).astype("str")) if "case" in frame else frame

    def cases(self, part="test"):
        """Lines of the cases of one set."""
        cases = self.frame("cases.csv")
        if missing := {"set", "case", "dice"} - set(cases):
            raise DamagedRecord(f"{self.folder / 'cases.csv'} has no column {', '.join(sorted(missing))}. {REMEDY}")
        return cases[cases["set"] == part].reset_index(drop=True)
