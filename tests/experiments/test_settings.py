"""Settings: scaled to fewer epochs, described under a table, written into a configuration."""

import dataclasses
from types import SimpleNamespace

import pytest

from experiments.choices import (
    MODES,
    Adam,
    AllSeeds,
    Channels,
    EachSeed,
    FirstSeeds,
    Nesterov,
    Patches,
    Plateau,
    Steps,
    Volumes,
)
from experiments.settings import Settings, any_modality
from experiments.table import PROFILES, Changes, departures, run_folder
from keras_uq.preprocessing import Preprocessing
from tests.experiments.tiny import TABLE

PLAIN = Settings(any_modality(Preprocessing(size=(256, 256))), optimizer=Adam(0.01), schedule=Steps(0.1, every=4))


def data(name="msd/Task07_Pancreas", modality="CT", **origin):
    return SimpleNamespace(name=name, modality=modality, description={"origin": origin})


def test_epochs_scale_schedule_and_patience():
    half = PLAIN.scale_epochs(10)
    assert (half.epochs, half.schedule.every, half.patience) == (10, 2, 6)
    assert PLAIN.scale_epochs(50) == PLAIN
    long = PLAIN.replace(epochs=40)  # Its last 20 epochs have rates below 1e-6.
    assert long.scale_epochs(10) == half
    assert (long.scale_epochs(30).epochs, long.scale_epochs(30).schedule.every) == (30, 4)
    small = PROFILES["small"].apply(PLAIN)
    assert (small.epochs, small.max_cases, small.filters) == (10, 80, 8)
    assert {steps.size for steps in small.preprocessing.values()} == {None}


def test_departures_are_what_differs_and_nothing_else():
    assert departures(TABLE, TABLE.settings, data(official_archive=True)) == []
    other = departures(TABLE, TABLE.settings, data(official_archive=False, archive_md5="0a"))
    assert other == ["the archive is not the official one (md5 0a)"]
    small = departures(TABLE, PROFILES["small"].apply(TABLE.settings), data("msd/Task04_Hippocampus", "MRI"))
    assert small == [
        "data: msd/Task04_Hippocampus, not msd/Task07_Pancreas",
        "slice size as scanned for 16 x 16",
        "cases 80 for all",
        "filters of the first stage 8 for 2",
    ]
    leaking = departures(TABLE, TABLE.settings.replace(split="slices"), data())
    assert leaking[0] == "split over slices for patients"
    assert "THE SPLIT LEAKS" in leaking[1]
    volumes = departures(TABLE, TABLE.settings.replace(input=Volumes(), schedule=Plateau(0.1, epochs=3)), data())
    assert set(volumes) == {
        "epochs without progress before the rate falls 3 for none",
        "what counts as progress 0.001 for none",
        "input of the network whole volumes for none",
        "epochs between steps of the rate none for 4",
    }


def test_the_configuration_has_the_recorded_keys():
    always = {
        *("batch", "epochs", "steps", "learning_rate", "decay_factor", "decay_every", "patience", "monitor", "volumes"),
    }
    assert set(PLAIN.config()) == always
    other = PLAIN.replace(
        optimizer=Nesterov(0.1), schedule=Plateau(0.5, epochs=3), input=Patches((1, 2, 3)), hard_dice=True
    ).config()
    assert set(other) == always | {"momentum", "plateau", "plateau_delta", "patch", "hard_dice"}
    assert (other["decay_every"], other["volumes"], other["patch"], other["momentum"]) == (None, False, (1, 2, 3), 0.9)
    assert PLAIN.replace(input=Volumes()).config()["volumes"] is True


def test_seeds_of_rows():
    assert EachSeed().of([0, 3]) == [(0, [0]), (3, [3])]
    assert FirstSeeds(2).of([0, 1, 2]) == [(0, [0]), (1, [1])]
    assert FirstSeeds(0).of([0]) == []
    assert AllSeeds().of([0, 3]) == [(0, [0, 3])]


@pytest.mark.parametrize(("classes", "numbers"), [(1, [1, 2, 2]), (3, [3, 3, 3])])
def test_channels_of_networks(classes, numbers):
    cases = SimpleNamespace(classes=classes)
    kinds = (Channels.FOREGROUND, Channels.SOFTMAX, Channels.INDEPENDENT)
    assert [kind.classes(cases) for kind in kinds] == numbers
    assert [kind.outputs(cases) for kind in kinds] == [*numbers[:2], numbers[2] - 1]
    assert [kind.arguments for kind in kinds] == [{}, {}, {"multilabel": True}]


def test_changes_name_the_folder():
    assert Changes().name == ""
    assert Changes(epochs=1, filters=3, foreground=(1, 2), split="slices").name == (
        "-epochs1-filters3-foreground1+2-splitslices"
    )
    table, settings = Changes(epochs=2, filters=3, foreground=(1, 2)).apply(TABLE, TABLE.settings)
    assert (settings.epochs, settings.filters, table.foreground) == (2, 3, {1, 2})
    assert table.departures[-1] == "foreground: label 1, 2 alone, not labels [1]"


def test_changed_epochs_scale_the_schedule_and_name_the_run():
    _, settings = Changes(epochs=10).apply(TABLE, PLAIN)
    assert (settings.epochs, settings.schedule.every, settings.patience) == (10, 2, 6)
    folder = run_folder(TABLE, "small", "msd/Task04_Hippocampus", "runs", Changes(epochs=10).name)
    assert folder.as_posix() == "runs/kethavath2025_table2/small-msd_Task04_Hippocampus-epochs10"


def test_scans_without_hounsfield_units_are_a_departure():
    steps = {"CT": Preprocessing(window=(300, 150)), "other": Preprocessing(percentiles=(1, 99))}
    table = dataclasses.replace(TABLE, settings=dataclasses.replace(PLAIN, preprocessing=steps))
    sentence = "MRI: intensities clipped to percentiles (1, 99), no HU window"
    assert sentence in departures(table, table.settings, data("msd/Task04_Hippocampus", "MRI"))
    assert sentence not in departures(table, table.settings, data("msd/Task09_Spleen", "CT"))
    assert sentence not in departures(table, table.settings, data(table.dataset, "MRI"))


def test_losses_are_to_fall_and_dice_is_to_rise():
    assert MODES == {"val_dice": "max", "val_loss": "min"}
    for monitor, mode in MODES.items():
        assert Plateau(0.5, epochs=3).callback(PLAIN.replace(monitor=monitor)).mode == mode
