"""The command `keras-uq predict` at its edges: what counts as predicted, what is refused, and what a failure leaves."""

import errno
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import nibabel
import numpy as np
import pytest

import keras_uq.inference
from keras_uq import files, models
from keras_uq.inference import MCDropout, _command_models, nifti, save_model, sidecar
from keras_uq.inference.command import main
from keras_uq.preprocessing import Preprocessing

ROOT = Path(__file__).parents[2]
LARGE = ("keras", "tensorflow", "numpy", "scipy", "nibabel", "cv2", "h5py", "rich")


class Threshold:
    """A predictor that needs no network: foreground where the image is bright."""

    def predict(self, images, batch_size=8, case=0):
        from keras_uq.inference.maps import MapSum

        total = MapSum()
        total.add((images > 0.5).astype("float32"))
        return total.maps()

    def describe(self):
        return {"method": "threshold"}


@pytest.fixture
def quick(monkeypatch, tmp_path, write_scan):
    """`run(*options)` of the command with a predictor without network, on `scans/` with `maps/` as output."""
    monkeypatch.setattr(_command_models, "predictor_of", lambda options: Threshold())
    write_model(tmp_path / "m.keras")
    for number in range(3):
        write_scan(voxels(number), name=f"s{number}.nii.gz", folder=tmp_path / "scans")

    def run(*options, model="m.keras", image="scans", out="maps"):
        arguments = ["--model", tmp_path / model, "--image", tmp_path / image, "--out", tmp_path / out, *options]
        return main(["predict", *map(str, arguments)])

    return run


def write_model(path, note=""):
    """A file that is a model as far as the command looks; `note` makes it another one."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("keras_uq/preprocessing.json", Preprocessing(window=(300, 150)).to_json())
        archive.writestr("note", note)


def voxels(seed):
    return np.random.default_rng(seed).integers(-100, 300, (9, 8, 4)).astype("int16")


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)


def edit(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


CHANGES = {
    "another model": lambda folder: write_model(folder / "m.keras", "trained again"),
    "another scan": lambda folder: nibabel.save(
        nibabel.Nifti1Image(voxels(9), np.eye(4)), folder / "scans" / "s1.nii.gz"
    ),
    "a map that is gone": lambda folder: (folder / "maps" / "s1_std.nii.gz").unlink(),
    "a map that is cut": lambda folder: (folder / "maps" / "s1_mean.nii.gz").write_bytes(b"half"),
    "a byte of a map": lambda folder: flip_a_byte(folder / "maps" / "s1_mask.nii.gz"),
    "another version": lambda folder: edit(folder / "maps" / "s1_uncertainty.json", versions={"keras_uq": "0.0"}),
    "stamps of an older version": lambda folder: edit(folder / "maps" / "s1_uncertainty.json", stamps={}),
    "models in memory": lambda folder: edit(folder / "maps" / "s1_uncertainty.json", models=None),
    "a sidecar that is gone": lambda folder: (folder / "maps" / "s1_uncertainty.json").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_predicted_again(quick, tmp_path, capsys, change):
    assert quick() == 0
    CHANGES[change](tmp_path)
    capsys.readouterr()
    assert quick() == 0
    predicted = 3 if change == "another model" else 1
    assert f"{predicted} predicted, {3 - predicted} already there" in capsys.readouterr().out
    assert quick() == 0
    assert "0 predicted, 3 already there" in capsys.readouterr().out


def test_a_map_of_the_same_size_and_time_is_seen(quick, tmp_path, capsys):
    assert quick() == 0
    path = tmp_path / "maps" / "s1_mask.nii.gz"
    status = path.stat()
    flip_a_byte(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert quick() == 0
    assert "1 predicted, 2 already there" in capsys.readouterr().out


def test_the_same_bytes_under_other_times_are_already_there(quick, tmp_path, capsys):
    assert quick() == 0
    for path in [tmp_path / "m.keras", *(tmp_path / "scans").iterdir(), *(tmp_path / "maps").glob("*.nii.gz")]:
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    assert quick() == 0
    assert "0 predicted, 3 already there" in capsys.readouterr().out


def test_nothing_is_read_again_while_size_times_and_inode_stay(quick, monkeypatch):
    assert quick() == 0
    hashed, sha256 = [], files.sha256
    monkeypatch.setattr(files.digests, "sha256", lambda path: hashed.append(Path(path).name) or sha256(path))
    assert quick() == 0
    assert hashed == ["m.keras"]


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, '{"scan": 5}', b'{"scan": "\xe9"}', '{"maps": []}'])
def test_a_damaged_sidecar_is_named_and_its_scan_predicted_again(quick, tmp_path, capsys, text):
    assert quick() == 0
    path = tmp_path / "maps" / "s2_uncertainty.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert quick() == 0
    output = capsys.readouterr().out
    assert "predicted again s2.nii.gz: " in output
    assert "s2_uncertainty.json" in output
    assert "1 predicted, 2 already there" in output


def test_a_flag_that_was_edited_to_another_type_is_no_flag(quick, tmp_path, capsys):
    assert quick() == 0
    for quality in (5, [5], [{"class": 1}], [{"class": 1, "flag": "no", "why": ""}]):
        edit(tmp_path / "maps" / "s0_uncertainty.json", quality=quality)
        assert quick() == 0
        assert "predicted again s0.nii.gz" in capsys.readouterr().out


def test_scans_with_the_same_outputs_are_refused(quick, tmp_path, write_scan, capsys):
    write_scan(voxels(0), name="s0.nii", folder=tmp_path / "scans")
    assert quick() == 2
    message = capsys.readouterr().err
    assert "s0.nii " in message
    assert "s0.nii.gz" in message
    assert not (tmp_path / "maps").exists()


def test_maps_among_the_scans_are_no_scans(quick, tmp_path, capsys):
    assert quick(out="scans") == 0
    assert "3 predicted" in capsys.readouterr().out
    assert quick(out="scans") == 0
    output = capsys.readouterr().out
    assert "18 maps of earlier predictions" in output
    assert "0 predicted, 3 already there" in output
    assert quick(image="scans/s0_mean.nii.gz") == 2
    assert "is a map of an earlier prediction" in capsys.readouterr().err


def test_no_scan_or_label_is_replaced_by_a_map(quick, tmp_path, write_scan, capsys):
    label = write_scan(voxels(5), name="s1_mask.nii.gz", folder=tmp_path / "scans")
    before = label.read_bytes()
    assert quick(out="scans") == 2
    assert "A map of s1.nii.gz would replace the scan" in capsys.readouterr().err
    (tmp_path / "link").symlink_to(tmp_path / "scans")
    assert quick(out="link") == 2
    assert label.read_bytes() == before


def fail_for(monkeypatch, name, error):
    """Let the prediction of one scan raise."""
    predict = nifti.predict_nifti

    def failing(predictor, path, *arguments, **options):
        if path.name == name:
            raise error
        return predict(predictor, path, *arguments, **options)

    monkeypatch.setattr(nifti, "predict_nifti", failing)


class ResourceExhaustedError(Exception):
    """What TensorFlow raises when memory ends."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "s1.nii.gz needs more memory"),
        (ResourceExhaustedError("OOM when allocating"), "s1.nii.gz needs more memory"),
        (TypeError("bad operand"), "s1.nii.gz could not be predicted (TypeError: bad operand)"),
        (ZeroDivisionError("division by zero"), "s1.nii.gz could not be predicted (ZeroDivisionError: division"),
        (ValueError("\x1b[1mtwo\nlines\x1b[0m [/red]"), "s1.nii.gz: two lines [/red]"),
        (ValueError("s1.nii.gz has no voxels."), "not predicted s1.nii.gz has no voxels."),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x"), "s1.nii.gz: File name too long: x"),
    ],
)
def test_one_bad_scan_is_one_line_and_the_others_are_predicted(quick, monkeypatch, tmp_path, capsys, error, words):
    fail_for(monkeypatch, "s1.nii.gz", error)
    assert quick() == 1
    output = capsys.readouterr().out
    assert [words in line for line in output.splitlines() if "not predicted" in line] == [True]
    assert "2 predicted, 0 already there, 1 failed" in output
    assert (tmp_path / "maps" / "s2_uncertainty.json").exists()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("step", ["_write_nifti", "write_text"])
def test_a_full_disk_stops_the_run_and_leaves_nothing_half_written(quick, monkeypatch, tmp_path, capsys, step):
    write, calls = getattr(nifti, step), []

    def full(*arguments):
        calls.append(arguments)
        if (
            len(calls) == {"_write_nifti": 9, "write_text": 2}[step]
        ):  # The third map, or the sidecar, of the second scan.
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(nifti, step, full)
    assert quick() == 2
    error = capsys.readouterr().err
    assert "The maps of s1.nii.gz cannot be written" in error
    assert "No space left on device" in error
    assert names(tmp_path / "maps") == sorted([*(f"s0_{name}.nii.gz" for name in sidecar.MAPS), "s0_uncertainty.json"])


def test_a_failed_prediction_leaves_earlier_maps_as_they_were(quick, monkeypatch, tmp_path):
    assert quick() == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "maps").iterdir()}
    monkeypatch.setattr(nifti, "_write_nifti", lambda *arguments: 1 / 0)
    assert quick("--again") == 2
    assert {path.name: path.read_bytes() for path in (tmp_path / "maps").iterdir()} == before


def test_maps_that_cannot_be_renamed_leave_no_sidecar_of_others(quick, monkeypatch, tmp_path):
    assert quick() == 0
    replace, calls = os.replace, []

    def broken(*paths):
        calls.append(paths)
        if len(calls) == 4:
            raise OSError(errno.EIO, "Input/output error")
        replace(*paths)

    monkeypatch.setattr(os, "replace", broken)
    assert quick("--again") == 2
    assert not [name for name in names(tmp_path / "maps") if name.startswith(("s0", ".keras-uq"))]
    assert len(names(tmp_path / "maps")) == 14


def test_a_model_that_is_replaced_during_the_run_stops_it(quick, monkeypatch, tmp_path, capsys):
    fail_for(monkeypatch, "s1.nii.gz", files.BadFile("m.keras is damaged."))
    assert quick() == 2
    assert capsys.readouterr().err == "keras-uq: m.keras is damaged.\n"


NAMES = ["[bold]x[red].nii.gz", "a\nb.nii.gz", "\x1b[2J.nii.gz", " .nii.gz", "-rf.nii.gz", "\U0001f9e0.nii.gz"]


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"caf\xe9.nii.gz")])
def test_names_are_shown_as_they_are_and_control_characters_escaped(quick, tmp_path, write_scan, capsys, name):
    folder = tmp_path / "named"
    write_scan(voxels(0), name=name, folder=folder)
    (folder / f"bad {name}").write_bytes(b"no scan")
    assert quick(image="named") == 1
    output = capsys.readouterr().out
    assert "1 predicted, 0 already there, 1 failed" in output
    (line,) = [line for line in output.splitlines() if "not predicted" in line]
    assert name in line or name.encode("unicode_escape").decode() in line
    assert "\x1b[2J" not in output
    assert quick(image="named") == 1
    assert "0 predicted, 1 already there, 1 failed" in capsys.readouterr().out


def test_a_name_too_long_for_its_maps_is_told_before_predicting(quick, tmp_path, write_scan, capsys, monkeypatch):
    write_scan(voxels(0), name="x" * 240 + ".nii.gz", folder=tmp_path / "scans")
    assert quick() == 1
    assert "name is too long" in capsys.readouterr().out
    assert len(names(tmp_path / "maps")) == 21


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("--samples", "0", "a whole number in [1, 1000000], not '0'"),
        ("--samples", "2.5", "a whole number in [1, 1000000], not '2.5'"),
        ("--seed", "-1", "a whole number in [0, "),
        ("--seed", "9" * 20, "a whole number in [0, "),
        ("--batch-size", "0", "a whole number in [1, 4096], not '0'"),
        ("--batch-size", "-2", "a whole number in [1, 4096], not '-2'"),
        ("--overlap", "1", "a number in [0, 1), not '1'"),
        ("--overlap", "nan", "a number in [0, 1), not 'nan'"),
        ("--window", "0,16,16", "3 values, each a whole number in [1, 4096], not '0,16,16'"),
        ("--window", "16,16", "3 values"),
        ("--image", "", "a path, not ''"),
        ("--out", "a\0b", "a path, not 'a"),
        ("--preprocessing", "", "a path, not ''"),
    ],
)
def test_every_option_has_a_range(quick, capsys, option, value, expected):
    with pytest.raises(SystemExit) as stopped:
        quick(f"{option}={value}")
    assert stopped.value.code == 2
    assert f"argument {option}: expected {expected}" in capsys.readouterr().err


@pytest.mark.parametrize("options", [("--samples", 3), ("--seed", 0), ("--independent-masks",)])
def test_options_of_dropout_do_nothing_without_it(quick, capsys, options):
    assert quick("--deterministic", *options) == 2
    assert f"{options[0]} does nothing with --deterministic" in capsys.readouterr().err


def test_a_scan_that_needs_too_much_memory_is_refused_from_its_header(quick, monkeypatch, capsys):
    monkeypatch.setattr(nifti, "read_nifti", lambda path: pytest.fail("voxels were read"))
    needed = nifti.memory_needed((9, 8, 4), (4, 8, 9), 1)
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", f"{needed - 1}")
    assert quick() == 2
    output = capsys.readouterr().out
    assert "9 x 8 x 4 voxels" in output
    assert f"{files.gibibytes(needed)} of memory" in output
    assert "KERAS_UQ_MAX_MEMORY" in output
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "much")
    assert quick() == 2
    assert "is a size in bytes" in capsys.readouterr().err


def test_a_ct_of_700_slices_fits_a_machine_of_16_gigabytes():
    ct = (512, 512, 700)
    needed = nifti.memory_needed(ct, ct[::-1], classes=1)
    # Scan, input, six maps, and one map with a working copy: ten arrays of float32.
    assert needed == 10 * 4 * 512 * 512 * 700
    assert needed <= 16e9 / 2
    assert nifti.memory_needed((4, 3, 2, 5), (2, 6, 8), classes=3) == 4 * (5 * (24 + 96) + 12 * 96 + 4 * 96)


def network(seed=0, **options):
    keras.utils.set_random_seed(seed)
    return models.unet((None, None, 1), filters=(2, 4), encoder_dropout=0.5, **options)


def predict(*arguments):
    return main(["predict", *map(str, arguments)])


STEPS = Preprocessing(window=(300, 150), multiple=2)


def test_the_sidecar_names_the_models_by_their_content(write_scan, tmp_path):
    scan = write_scan(voxels(0))
    for seed in range(2):
        save_model(network(seed), tmp_path / f"{seed}.keras", STEPS)
    paths = [tmp_path / f"{seed}.keras" for seed in range(2)]
    arguments = ("--model", paths[0], "--model", paths[1], "--image", scan, "--samples", 2)
    assert predict(*arguments, "--out", tmp_path / "mc") == 0
    record = json.loads((tmp_path / "mc" / "scan_uncertainty.json").read_text())
    assert [(entry["file"], entry["sha256"]) for entry in record["models"]] == [
        (path.name, files.sha256(path)) for path in paths
    ]
    assert record["stamps"]["scan"] == files.stamp(scan)
    for name in sidecar.MAPS:
        assert record["stamps"]["maps"][name] == files.stamp(tmp_path / "mc" / f"scan_{name}.nii.gz")
    for predictor, expected in (
        (MCDropout(network(), samples=2), None),
        (keras_uq.inference.Ensemble(paths), record["models"]),
    ):
        nifti.predict_nifti(predictor, scan, tmp_path / "python", STEPS)
        assert json.loads((tmp_path / "python" / "scan_uncertainty.json").read_text())["models"] == expected


def test_a_file_of_an_ensemble_that_changes_meanwhile_is_seen(write_scan, tmp_path):
    scan = write_scan(voxels(0))
    save_model(network(0), tmp_path / "m.keras", STEPS)
    ensemble = keras_uq.inference.Ensemble([tmp_path / "m.keras"])
    before = nifti.stamp_models([tmp_path / "m.keras"])
    save_model(network(1), tmp_path / "m.keras", STEPS)
    with pytest.raises(ValueError, match="model file has changed"):
        nifti.predict_nifti(ensemble, scan, tmp_path / "maps", STEPS, models=before)
    assert not list((tmp_path / "maps").iterdir())


def test_options_that_a_model_of_slices_does_not_have(write_scan, tmp_path, capsys):
    scan = write_scan(voxels(0))
    save_model(network(), tmp_path / "m.keras", STEPS)
    save_model(network(classes=3), tmp_path / "three.keras", STEPS)
    given = ("--model", tmp_path / "m.keras", "--image", scan, "--out", tmp_path / "maps")
    for options, words in (
        (("--overlap", 0.5), "--overlap does nothing without windows"),
        (("--window", "8,8,8"), "--window has 3 sides"),
        (("--window", "8,8,8", "--deterministic"), "--window has 3 sides"),
        (("--model", tmp_path / "three.keras"), "different numbers of classes"),
    ):
        assert predict(*given, *options) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "maps").exists()


def test_the_same_model_twice_is_no_ensemble(write_scan, tmp_path, capsys):
    write_model(tmp_path / "m.keras")
    (tmp_path / "copy.keras").write_bytes((tmp_path / "m.keras").read_bytes())
    for other in ("m.keras", "copy.keras"):
        pair = ("--model", tmp_path / "m.keras", "--model", tmp_path / other)
        assert predict(*pair, "--image", write_scan(voxels(0)), "--out", tmp_path / "maps") == 2
        assert "are the same model" in capsys.readouterr().err


def test_a_scan_beyond_float32_is_named_and_the_model_not_blamed(write_scan, tmp_path, capsys):
    save_model(network(), tmp_path / "m.keras", Preprocessing(percentiles=(0, 100), multiple=2))
    bright = voxels(0).astype("float64")
    bright[0, 0, 0] = 1e300
    scan = write_scan(bright, name="bright.nii.gz")
    assert predict("--model", tmp_path / "m.keras", "--image", scan, "--out", tmp_path / "maps") == 2
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "not predicted" in line]
    assert line.startswith("not predicted bright.nii.gz")
    assert "logits" not in line


def test_a_long_scan_keeps_the_format_that_can_hold_it(tmp_path):
    image = nibabel.Nifti2Image(np.zeros((40_000, 1, 1), "int16"), np.eye(4))
    nibabel.save(image, tmp_path / "long.nii.gz")
    written = nifti.predict_nifti(Threshold(), tmp_path / "long.nii.gz", tmp_path, Preprocessing(), maps=("mask",))
    assert nibabel.load(written["mask"]).shape == (40_000, 1, 1)


def test_public_names_are_those_of_their_modules():
    for name in keras_uq.inference.__all__:
        assert getattr(keras_uq.inference, name).__name__ == name
    assert dir(keras_uq.inference) == sorted(keras_uq.inference.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = keras_uq.inference.nothing


def python(code):
    user = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=user, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_errors_of_the_arguments_import_nothing_large(tmp_path):
    for folder in ("scans", "twice", "empty"):
        (tmp_path / folder).mkdir()
    for scan in ("scans/a.nii.gz", "scans/a_mean.nii.gz", "twice/a.nii", "twice/a.nii.gz"):
        (tmp_path / scan).touch()
    for name in ("m.keras", "m.zip"):
        write_model(tmp_path / name)
    (tmp_path / "text.keras").write_text("no model")
    (tmp_path / "bad.json").write_text("{")
    given = {"--model": "m.keras", "--image": "scans/a.nii.gz", "--out": "maps"}
    cases = {
        "usage": ["--help"],
        "keras-uq 0": ["--version"],
        "--independent-masks": ["predict", "--help"],
        "There is no model file": {"--model": "none.keras"},
        "does not end in .keras": {"--model": "m.zip"},
        "is no Keras model": {"--model": "text.keras"},
        "There is no scan": {"--image": "none.nii"},
        "contains no .nii": {"--image": "empty"},
        "would have the same names": {"--image": "twice"},
        "would replace the scan": {"--image": "scans", "--out": "scans"},
        "cannot be written": {"--out": "bad.json"},
        "expected a whole number": {"--samples": "0"},
        "There is no JSON file": {"--preprocessing": "none.json"},
        "is not JSON": {"--quality": "bad.json"},
        "does nothing with --deterministic": {"--seed": "1", "--deterministic": None},
    }
    script = f"""
import contextlib, io, json, os, sys
os.chdir({str(tmp_path)!r})
from keras_uq.__main__ import main
for words, case in json.loads({json.dumps(cases)!r}).items():
    if isinstance(case, dict):
        case = ["predict", *[x for pair in {{**{given!r}, **case}}.items() for x in pair if x is not None]]
    screen = io.StringIO()
    with contextlib.redirect_stdout(screen), contextlib.redirect_stderr(screen), contextlib.suppress(SystemExit):
        assert main(case) == 2, case
    assert words in screen.getvalue(), (words, screen.getvalue())
    loaded = set({LARGE!r}) & set(sys.modules)
    assert not loaded, (case, loaded)
assert not os.path.exists("maps")
"""
    python(script)


def test_it_predicts_where_the_system_has_no_limits_or_locks(write_scan, tmp_path):
    """As on Windows."""
    scan = write_scan(voxels(0))
    save_model(network(), tmp_path / "m.keras", STEPS)
    arguments = ["predict", "--model", "m.keras", "--image", scan.name, "--out", "maps", "--samples", "2"]
    python(
        f"""
import os, sys
hidden = ("fcntl", "resource", "pwd", "grp", "termios")
sys.modules.update(dict.fromkeys(hidden))
os.chdir({str(tmp_path)!r})
from keras_uq.__main__ import main
assert main({arguments!r}) == 0
"""
    )
    assert len(names(tmp_path / "maps")) == 7
