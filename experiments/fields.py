"""The fields of the JSON files of a record and of a run: what each must be."""

from pathlib import Path

from keras_uq._kinds import Anything, Choice, Flag, Integer, Items, Mapping, Maybe, Mismatch, Number, Text
from keras_uq.files import BadFile, check, read

PAPERS = sorted(path.parent.name for path in Path(__file__).parent.glob("*/study.py"))
# A folder that an option names.
FOLDER = Text(pattern=r"[^\0]*[^\0\s][^\0]*", described="a folder")
SHA = Text(pattern="[0-9a-f]{64}", described="a sha256")


class Sums(Mapping):
    """The sha256 of files of one folder, by name."""

    def __str__(self):
        return "the sha256 of each file of the cell, config.json and cases.csv among them"

    def read(self, value):
        """As `Mapping`, with names that lead to no other folder."""
        files = super().read(value)
        if not {"config.json", "cases.csv"} <= set(files) or any("/" in name or "\\" in name for name in files):
            raise Mismatch
        return files


class Parts(Mapping):
    """A number of cases for each set."""

    def __str__(self):
        return "the number of cases of train, validation and test"

    def read(self, value):
        """As `Mapping`, with all three sets."""
        parts = super().read(value)
        if not {"train", "validation", "test"} <= set(parts):
            raise Mismatch
        return parts


PROVENANCE = {
    "config_sha256": SHA,
    "files": Sums(SHA),
    "seconds": Number(least=0),
    "commit": Maybe(Text()),
    "backend": Text(),
    "packages": Mapping(Text()),
    "hardware": Mapping(Anything()),
    "data": Text(),
    "finished": Text(),
    "uncommitted_changes": Maybe(Flag()),
    "python": Text(),
    "shared_with": Text(),
}
CONFIG = {
    "row": Text(),
    "seed": Integer(least=0),
    "training": Maybe(Mapping(Anything())),
    "inputs": Items(SHA),
}
TRAINING = {"training_sha256": SHA, "seconds": Number(least=0), "weights": Mapping(SHA)}
RUN = {
    "paper": Choice(*PAPERS),
    "table": Text(pattern=r"\w+", described="the name of a table"),
    "title": Text(),
    "profile": Text(),
    "changes": Text(),
    "dataset": Text(),
    "modality": Text(),
    "data": Text(),
    "cases": Parts(Integer(least=0)),
    "departures": Items(Text()),
    "reference": Text(),
    "rows": Items(Text(), least=1),
    "labels": Mapping(Text()),
    "classes": Integer(least=1),
}
# What may be absent: what only some cells have, and what the first records did not hold.
OPTIONAL = ("shared_with", "weights", "labels", "classes", "data", "finished", "uncommitted_changes", "python")

REMEDY_OF_RUN = (
    "Restore it, or remove it and start the table's command again, which writes it anew (with --loss for rows of your "
    "own)."
)


class DamagedRecord(ValueError):
    """A record that is not what it was when it was written."""


def checked(value, fields, path, remedy):
    """Return a JSON object of ours whose fields are what they must be.

    Args:
        value: What was read.
        fields: One of the tables above. Further fields are allowed.
        path: File that errors name.
        remedy: What to do about a damaged file.

    Raises:
        DamagedRecord: If it is no object, lacks a field, or has one of another kind.
    """
    try:
        check(value, fields, path, OPTIONAL, others=True)
    except BadFile as error:
        raise DamagedRecord(f"{error} {remedy}") from None
    return value


def read_about(folder):
    """What a run says about itself. Raises `DamagedRecord` if its `run.json` is not what a table's command writes."""
    path = Path(folder) / "run.json"
    try:
        content = read(path)
    except BadFile as error:
        raise DamagedRecord(f"{error} {REMEDY_OF_RUN}") from None
    return checked(content, RUN, path, REMEDY_OF_RUN)
