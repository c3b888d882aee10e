"""Scan in, maps out: same affine, same grid, same units."""

import json
import zlib

import keras
import nibabel
import numpy as np
import pytest

from keras_uq import models
from keras_uq.inference import (
    Ensemble,
    MCDropout,
    SlidingWindow,
    load_model,
    predict_nifti,
    read_preprocessing,
    read_window,
    save_model,
)
from keras_uq.inference.command import main
from keras_uq.preprocessing import BadScan, Preprocessing

PREPROCESSING = Preprocessing(window=(300, 150), median=3, multiple=8)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return models.unet((None, None, 1), filters=(2, 4, 6, 8), encoder_dropout=0.5, name="small")


class Threshold:
    """A predictor whose answer is known: foreground where the image is bright."""

    def predict(self, images, batch_size=8, case=0):
        from keras_uq.inference.maps import MapSum

        total = MapSum()
        total.add((images > 0.5).astype("float32"))
        return total.maps()

    def describe(self):
        return {"method": "threshold"}


@pytest.mark.parametrize("flip_x", [False, True])
@pytest.mark.parametrize("size", [None, (32, 40)])
def test_maps_lie_where_the_scan_has_them(write_scan, tmp_path, flip_x, size):
    voxels = np.full((21, 17, 5), -1000, "int16")
    voxels[4:15, 3:9, 1:4] = 250
    path = write_scan(voxels, zooms=(0.7, 0.9, 5.0), flip_x=flip_x)
    steps = Preprocessing(window=(300, 150), size=size, multiple=8)
    written = predict_nifti(Threshold(), path, tmp_path / "maps", steps)
    source, mask = nibabel.load(path), nibabel.load(written["mask"])
    np.testing.assert_array_equal(mask.affine, source.affine)
    assert mask.header.get_xyzt_units() == source.header.get_xyzt_units() == ("mm", "sec")
    assert mask.header.get_zooms() == source.header.get_zooms()
    got = np.asarray(mask.dataobj)
    assert got.shape == voxels.shape
    if size is None:
        np.testing.assert_array_equal(got, voxels > 100)
    else:  # Resampling may move a border by half a pixel.
        assert np.mean(got == (voxels > 100)) > 0.97
    mean = nibabel.load(written["mean"])
    assert mean.get_data_dtype() == np.float32
    np.testing.assert_array_equal(mean.affine, source.affine)


def test_the_sidecar_tells_how_to_repeat(write_scan, tmp_path, model):
    path = write_scan(np.random.default_rng(0).integers(-100, 300, (20, 18, 4)).astype("int16"))
    predictor = MCDropout(model, samples=3, seed=4)
    written = predict_nifti(predictor, path, tmp_path / "maps", PREPROCESSING)
    sidecar = json.loads((tmp_path / "maps" / "scan_uncertainty.json").read_text())
    assert sidecar["samples"] == 3
    assert sidecar["predictor"]["seed"] == 4
    assert len(sidecar["predictor"]["dropout_layers"]) == 3
    assert Preprocessing.from_json(json.dumps(sidecar["preprocessing"])) == PREPROCESSING
    assert sidecar["versions"]["keras"] == keras.__version__
    assert sidecar["maps"]["entropy"] == written["entropy"].name
    first = {name: np.asarray(nibabel.load(file).dataobj) for name, file in written.items()}
    predict_nifti(MCDropout(model, samples=3, seed=4), path, tmp_path / "maps", PREPROCESSING)
    for name, file in written.items():
        np.testing.assert_array_equal(np.asarray(nibabel.load(file).dataobj), first[name])
    assert not [file for file in (tmp_path / "maps").iterdir() if file.name.startswith(".")]


def test_several_classes_have_a_class_axis(write_scan, tmp_path):
    model = models.unet((None, None, 1), classes=3, filters=(2, 4), encoder_dropout=0.5)
    path = write_scan(np.random.default_rng(0).normal(size=(8, 6, 3)).astype("float32"))
    written = predict_nifti(MCDropout(model, samples=2, seed=0), path, tmp_path, Preprocessing(multiple=2))
    assert nibabel.load(written["mean"]).shape == (8, 6, 3, 3)
    assert nibabel.load(written["entropy"]).shape == (8, 6, 3)
    assert nibabel.load(written["mask"]).shape == (8, 6, 3)


@pytest.fixture(scope="module")
def volume_model():
    keras.utils.set_random_seed(0)
    return models.unet((None, None, None, 1), 2, (2, 4), encoder_dropout=0.3, name="small_3d")


def test_a_3d_network_gets_the_whole_scan_in_windows(write_scan, tmp_path, volume_model):
    path = write_scan(np.random.default_rng(0).integers(-100, 300, (21, 18, 11)).astype("int16"))
    steps = Preprocessing(window=(300, 150))
    predictor = SlidingWindow(MCDropout(volume_model, samples=2, seed=4), (8, 16, 16))
    written = predict_nifti(predictor, path, tmp_path / "maps", steps)
    assert nibabel.load(written["mean"]).shape == (21, 18, 11, 2)
    assert nibabel.load(written["entropy"]).shape == (21, 18, 11)
    sidecar = json.loads((tmp_path / "maps" / "scan_uncertainty.json").read_text())
    assert (sidecar["predictor"]["window"], sidecar["samples"]) == ([8, 16, 16], 2)
    # Slices are the first axis of the network and the last of the scan.
    images, geometry = steps.image(np.asarray(nibabel.load(path).dataobj), nibabel.load(path).affine)
    maps = predictor.predict(images[np.newaxis], case=zlib.crc32(b"scan"))
    np.testing.assert_allclose(
        np.asarray(nibabel.load(written["std"]).dataobj)[..., 1], geometry.restore(maps.std[0, ..., 1])
    )
    with pytest.raises(ValueError, match="the model takes 3D images. Wrap it in SlidingWindow"):
        predict_nifti(MCDropout(volume_model, samples=2), path, tmp_path, steps)


def test_the_command_takes_the_window_from_the_model_or_the_user(write_scan, tmp_path, volume_model, capsys):
    path = write_scan(np.random.default_rng(0).integers(-100, 300, (21, 18, 11)).astype("int16"))
    steps = Preprocessing(window=(300, 150))
    save_model(volume_model, tmp_path / "with.keras", steps, window=(8, 16, 16))
    save_model(volume_model, tmp_path / "without.keras", steps)
    assert read_window(tmp_path / "with.keras") == (8, 16, 16)
    assert read_window(tmp_path / "without.keras") is None
    command = ["predict", "--image", str(path), "--samples", "2"]
    out = {}
    for name, further in {
        "with": [],
        "without": ["--window", "8,16,16"],
        "independent": ["--window", "8,16,16", "--independent-masks"],
    }.items():
        model = "with" if name == "with" else "without"
        arguments = ["--model", str(tmp_path / f"{model}.keras"), "--out", str(tmp_path / name), *further]
        assert main([*command, *arguments]) == 0
        out[name] = np.asarray(nibabel.load(tmp_path / name / "scan_std.nii.gz").dataobj)
    np.testing.assert_array_equal(out["with"], out["without"])
    assert np.abs(out["with"] - out["independent"]).max() > 1e-4
    assert main([*command, "--model", str(tmp_path / "without.keras"), "--out", str(tmp_path / "no")]) == 2
    assert "--window" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*command, "--model", str(tmp_path / "with.keras"), "--out", str(tmp_path / "x"), "--window", "8,16"])
    assert "three sides" in capsys.readouterr().err
    both = ["--model", str(tmp_path / "with.keras"), "--model", str(tmp_path / "without.keras")]
    assert main([*command, *both, "--out", str(tmp_path / "x")]) == 2
    assert "different windows" in capsys.readouterr().err


def test_what_is_wrong_is_named(write_scan, tmp_path, model):
    two = write_scan(np.zeros((16, 16, 2, 2), "float32"), name="two.nii.gz")
    with pytest.raises(ValueError, match="2 channels.*model takes 1"):
        predict_nifti(MCDropout(model, samples=2), two, tmp_path, PREPROCESSING)
    flat = write_scan(np.zeros((16, 16), "float32"), name="flat.nii.gz")
    with pytest.raises(BadScan, match="2 axes"):
        predict_nifti(MCDropout(model, samples=2), flat, tmp_path, PREPROCESSING)
    scan = write_scan(np.zeros((16, 16, 2), "float32"))
    with pytest.raises(ValueError, match="Unknown maps"):
        predict_nifti(MCDropout(model, samples=2), scan, tmp_path, PREPROCESSING, maps=("median",))


def test_a_published_model_carries_its_preprocessing(tmp_path, model):
    compiled = keras.models.clone_model(model)
    compiled.set_weights(model.get_weights())
    compiled.compile("adam", loss="binary_crossentropy")
    save_model(compiled, tmp_path / "m.keras", PREPROCESSING)
    assert read_preprocessing(tmp_path / "m.keras") == PREPROCESSING
    loaded = load_model(tmp_path / "m.keras")
    assert not loaded.compiled
    images = np.random.default_rng(0).normal(size=(1, 16, 16, 1)).astype("float32")
    np.testing.assert_array_equal(loaded.predict_on_batch(images), model.predict_on_batch(images))
    assert list(tmp_path.iterdir()) == [tmp_path / "m.keras"]
    model.save(tmp_path / "plain.keras")
    assert read_preprocessing(tmp_path / "plain.keras") is None
    with pytest.raises(ValueError, match=r"ends in \.keras"):
        save_model(model, tmp_path / "m.h5", PREPROCESSING)
    (tmp_path / "broken.keras").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="broken.keras is no Keras model"):
        load_model(tmp_path / "broken.keras")
    with pytest.raises(ValueError, match="no model file"):
        load_model(tmp_path / "missing.keras")


def test_an_ensemble_is_the_mean_of_its_files(tmp_path, model):
    images = np.random.default_rng(0).normal(size=(4, 16, 16, 1)).astype("float32")
    members = []
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        member = keras.models.clone_model(model)
        save_model(member, tmp_path / f"{seed}.keras", PREPROCESSING)
        members.append(keras.ops.convert_to_numpy(member(images)))
    ensemble = Ensemble([tmp_path / f"{seed}.keras" for seed in range(3)])
    maps = ensemble.predict(images, batch_size=2)
    np.testing.assert_allclose(maps.mean, np.mean(members, axis=0), atol=1e-6)
    np.testing.assert_allclose(maps.variance, np.var(members, axis=0), atol=1e-6)
    assert ensemble.describe()["members"] == ["0.keras", "1.keras", "2.keras"]


@pytest.fixture
def saved(tmp_path, model):
    save_model(model, tmp_path / "m.keras", PREPROCESSING)
    return tmp_path / "m.keras"


def run(*arguments):
    return main(["predict", *map(str, arguments)])


def scan_voxels(seed=0):
    return np.random.default_rng(seed).integers(-200, 400, (20, 18, 3)).astype("int16")


def test_command_writes_maps_of_one_scan(saved, write_scan, tmp_path):
    scan = write_scan(scan_voxels())
    assert run("--model", saved, "--image", scan, "--out", tmp_path / "maps", "--samples", 2) == 0
    names = {file.name for file in (tmp_path / "maps").iterdir()}
    maps = ("mean", "mask", "entropy", "std", "variance", "mutual_information")
    assert names == {f"scan_{name}.nii.gz" for name in maps} | {"scan_uncertainty.json"}


def test_command_goes_on_after_an_unreadable_scan_and_takes_up_where_it_stopped(saved, write_scan, tmp_path, capsys):
    scans = tmp_path / "scans"
    for number in range(2):
        write_scan(scan_voxels(number), name=f"case{number}.nii.gz", folder=scans)
    (scans / "broken.nii.gz").write_bytes(b"this is no scan")
    (scans / "._case0.nii.gz").write_bytes(b"hidden companion")
    out = tmp_path / "maps"
    assert run("--model", saved, "--image", scans, "--out", out, "--samples", 2) == 1
    output = capsys.readouterr().out
    assert "broken.nii.gz" in output
    assert "2 predicted, 0 already there, 1 failed" in output
    before = (out / "case0_mean.nii.gz").stat().st_mtime_ns
    (out / "case1_uncertainty.json").unlink()
    assert run("--model", saved, "--image", scans, "--out", out, "--samples", 2) == 1
    assert "1 predicted, 1 already there, 1 failed" in capsys.readouterr().out
    assert (out / "case0_mean.nii.gz").stat().st_mtime_ns == before
    assert run("--model", saved, "--image", scans, "--out", out, "--samples", 3) == 1
    assert "2 predicted, 0 already there" in capsys.readouterr().out
    assert json.loads((out / "case0_uncertainty.json").read_text())["samples"] == 3


def test_command_takes_several_models_as_an_ensemble(saved, write_scan, tmp_path, model):
    keras.utils.set_random_seed(1)
    save_model(keras.models.clone_model(model), tmp_path / "n.keras", PREPROCESSING)
    scan = write_scan(scan_voxels())
    arguments = ("--model", saved, "--model", tmp_path / "n.keras", "--image", scan)
    assert run(*arguments, "--out", tmp_path / "both", "--samples", 2) == 0
    assert json.loads((tmp_path / "both" / "scan_uncertainty.json").read_text())["samples"] == 4
    assert run(*arguments, "--out", tmp_path / "members", "--deterministic") == 0
    assert json.loads((tmp_path / "members" / "scan_uncertainty.json").read_text())["samples"] == 2


def test_command_says_what_is_wrong(saved, write_scan, tmp_path, model, capsys):
    scan = write_scan(scan_voxels())

    def fails(expected, *arguments, status=2):
        assert run(*arguments) == status
        captured = capsys.readouterr()
        assert expected in " ".join((captured.err + captured.out).split())

    out = tmp_path / "out"
    fails("There is no scan", "--model", saved, "--image", tmp_path / "none.nii", "--out", out)
    fails("There is no model file", "--model", tmp_path / "none.keras", "--image", scan, "--out", out)
    (tmp_path / "empty").mkdir()
    fails("contains no .nii", "--model", saved, "--image", tmp_path / "empty", "--out", out)
    (tmp_path / "file").touch()
    fails("cannot be written", "--model", saved, "--image", scan, "--out", tmp_path / "file" / "maps")
    model.save(tmp_path / "plain.keras")
    fails("contains no preprocessing", "--model", tmp_path / "plain.keras", "--image", scan, "--out", out)
    (tmp_path / "steps.json").write_text(PREPROCESSING.to_json())
    given = ("--preprocessing", tmp_path / "steps.json", "--samples", 2)
    assert run("--model", tmp_path / "plain.keras", "--image", scan, "--out", out, *given) == 0
    save_model(models.unet((None, None, 1), filters=(2, 4)), tmp_path / "dry.keras", PREPROCESSING)
    fails("needs a model with dropout", "--model", tmp_path / "dry.keras", "--image", scan, "--out", out)
    flat = write_scan(np.zeros((16, 16), "int16"), name="flat.nii.gz")
    fails("2 axes", "--model", saved, "--image", flat, "--out", out)
    save_model(model, tmp_path / "other.keras", Preprocessing(multiple=8))
    pair = ("--model", saved, "--model", tmp_path / "other.keras")
    fails("different preprocessing", *pair, "--image", scan, "--out", out)
    fails("at least one sample", "--model", saved, "--image", scan, "--out", out, "--samples", 0)
