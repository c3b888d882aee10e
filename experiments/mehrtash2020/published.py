"""The printed tables of Mehrtash et al. (2020), side by side."""

import pandas as pd

from experiments.mehrtash2020.protocol import APPLICATIONS
from experiments.run import LEAST_NLL_OF_BRIER, joined_flags, read_published

SEGMENTS = (1, 2, 3)
BOX = {"nll": "NLL (nat)", "brier": "Brier, sum over classes", "ece_percent": "ECE (%)"}
WHOLE = {f"{name}_whole": f"{label}, whole volume" for name, label in BOX.items()}
OVERLAP = {f"dice_segment{value}": f"Dice, segment {value}" for value in SEGMENTS}
DISTANCE = {f"hd95_mm_segment{value}": f"HD95, segment {value} (mm)" for value in SEGMENTS}
MEASURES = BOX | OVERLAP | WHOLE | DISTANCE
METHODS = {"baseline": "", "mc_dropout": ", MC dropout", "ensemble": ", ensemble"}


def published(run):
    """The paper's tables as printed, by row, for the application of the run's dataset; by default for the prostate.

    Table II, S1 and S2 have the same rows and stand side by side. Where a printed NLL is below 2.4554 K/2 times the
    printed Brier score, the latter cannot hold the 1/K of Eq. 4: such rows get the flag `M-BRIERSUM`.
    """
    application = application_of(run)
    if run["table"] == "tableS3":
        printed = _read("tableS3", application, {"dice": "dice_segment1", "hd95_mm": "hd95_mm_segment1"})
    else:
        printed = _read("table2", application)
        for name, names in (("tableS1", {name: f"{name}_whole" for name in BOX}), ("tableS2", {})):
            further = _read(name, application, names)
            printed["flag"] = [joined_flags(*flags) for flags in zip(printed["flag"], further["flag"])]
            printed = printed.join(further.drop(columns=["flag", "dataset"]))
    half_of_classes = APPLICATIONS[application]["classes"] / 2
    impossible = printed["nll"].map(_first) < LEAST_NLL_OF_BRIER * half_of_classes * printed["brier"].map(_first)
    printed.loc[impossible, "flag"] = [joined_flags(flag, "M-BRIERSUM") for flag in printed.loc[impossible, "flag"]]
    for name in (*OVERLAP, *DISTANCE):
        if int(name[-1]) >= run["classes"]:
            printed = printed.drop(columns=name, errors="ignore")
        elif name not in printed:
            printed[name] = ""  # A structure more than the paper's.
    return printed


def application_of(run):
    """Such as `Heart`; the first for data that are none of the paper's."""
    names = {about["dataset"]: name for name, about in APPLICATIONS.items()}
    return names.get(run["dataset"], next(iter(APPLICATIONS)))


def _read(name, application, names=()):
    whole = read_published(f"mehrtash2020_{name}")
    frame = whole[whole["application"].str.startswith(application)]
    if frame.empty:  # Table S3 is of the prostate alone.
        frame = whole
    frame = frame.assign(row=frame["loss"] + frame["method"].map(METHODS)).set_index("row")
    printed = pd.DataFrame({"dataset": frame["application"], "flag": frame["flag"]})
    for column in frame:
        measure = dict(names).get(column, column)
        if measure in MEASURES:
            span = [""] * len(frame)
            if f"{column}_low" in frame:
                span = " [" + frame[f"{column}_low"] + ", " + frame[f"{column}_high"] + "]"
            printed[measure] = (frame[column] + span).where(frame[column] != "", "")
    return printed


def _first(text):
    return float(text.partition(" ")[0] or "nan")


def parts(run):
    """Which measures stand in which table of the paper."""
    if run["table"] == "tableS3":
        return {"Table S3": [*BOX, *OVERLAP, *DISTANCE]}
    return {
        "Table II: calibration in the bounding box, Dice in the whole volume": [*BOX, *OVERLAP],
        "Table S1: calibration in the whole volume": list(WHOLE),
        "Table S2: Hausdorff distance": list(DISTANCE),
    }
