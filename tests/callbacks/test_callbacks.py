"""Schedules, the best weights, and resuming."""

import json

import keras
import numpy as np
import pytest

from keras_uq.callbacks import KeepBest, Resume, StepDecay
from keras_uq.files import process_name
from keras_uq.metrics import DiceMetric
from tests.reference import checks

# Keras on PyTorch draws the masks of dropout without a seed from a generator of the whole process.
SEED = 0 if keras.backend.backend() == "torch" else None


def model_with_dropout():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(2, 3, padding="same"),
            keras.layers.Dropout(0.5, seed=SEED),
            keras.layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), loss="binary_crossentropy", metrics=[DiceMetric()], jit_compile=False)
    return model


class Data(keras.utils.PyDataset):
    """Four batches whose order is a function of the epoch."""

    def __init__(self):
        super().__init__(workers=1)
        self.epoch = 0

    def __len__(self):
        return 4

    def __getitem__(self, number):
        rng = np.random.default_rng(int(np.random.default_rng(self.epoch).permutation(4)[number]))
        images = rng.random((2, 8, 8, 1)).astype("float32")
        return images, (images > 0.5).astype("float32")


class Follow(keras.callbacks.Callback):
    def __init__(self, data):
        super().__init__()
        self.data = data

    def on_epoch_begin(self, epoch, logs=None):
        self.data.epoch = epoch


class Interrupt(keras.callbacks.Callback):
    """Raises in the middle of an epoch."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch and batch == 1:
            raise KeyboardInterrupt


def train(folder, epochs=6, interrupt=None, patience=2):
    keras.utils.set_random_seed(0)
    model, data = model_with_dropout(), Data()
    others = [
        Follow(data),
        StepDecay(factor=0.5, every=2, initial=0.01),
        keras.callbacks.EarlyStopping("val_loss", patience=patience, mode="min"),
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, mode="min"),
        KeepBest(folder / "best.weights.h5", "val_dice", "max"),
    ]
    resume = Resume(folder / "resume", others)
    callbacks = [*others, *([Interrupt(interrupt)] if interrupt is not None else []), resume]
    model.fit(data, validation_data=data, epochs=epochs, shuffle=False, callbacks=callbacks, verbose=0)
    return [keras.ops.convert_to_numpy(variable) for variable in model.variables], resume.history


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """What `train` ends with if nothing interrupts it."""
    return train(tmp_path_factory.mktemp("uninterrupted"))


def test_step_decay_is_the_papers_schedule():
    (check,) = checks("learning rate per epoch 0..19")
    schedule = StepDecay(check["params"]["factor"], check["params"]["every"], initial=check["params"]["initial"])
    np.testing.assert_allclose([schedule.rate(epoch) for epoch in range(20)], check["expected"], rtol=1e-12)


def test_step_decay_sets_the_optimizers_rate():
    seen = []
    model = model_with_dropout()
    spy = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)))
    )
    model.fit(Data(), epochs=5, callbacks=[StepDecay(0.1, 2), spy], verbose=0)
    np.testing.assert_allclose(seen, [1e-2, 1e-2, 1e-3, 1e-3, 1e-4], rtol=1e-5)
    with pytest.raises(ValueError, match="`every` to be a whole number of at least 1"):
        StepDecay(every=0)


class Script(keras.callbacks.Callback):
    """Puts a known course of a measure into the logs that the next callbacks see."""

    course = (1.0, 3.0, 2.0, 2.5, 2.0, 2.9, 2.8)

    def on_epoch_end(self, epoch, logs=None):
        logs["scripted"] = self.course[epoch]


def scripted(folder, interrupt=None):
    """A training that the third epoch without a new best ends; tells the rates of its epochs and the best one."""
    keras.utils.set_random_seed(0)
    model, data = model_with_dropout(), Data()
    stop = keras.callbacks.EarlyStopping("scripted", patience=3, mode="max")
    keep = KeepBest(folder / "best.weights.h5", "scripted", "max")
    plateau = keras.callbacks.ReduceLROnPlateau("scripted", factor=0.5, patience=1, cooldown=2, mode="max")
    resume = Resume(folder / "resume", [stop, keep, plateau])
    interrupting = [Interrupt(interrupt)] if interrupt is not None else []
    model.fit(
        data, epochs=7, shuffle=False, callbacks=[Script(), stop, keep, plateau, *interrupting, resume], verbose=0
    )
    rates = [line["learning_rate"] / 0.01 for line in resume.history]
    return pytest.approx(rates), keep.best, keep.best_epoch, stop.wait


@pytest.mark.parametrize("interrupt", [None, 2, 3, 4])
def test_patience_and_the_best_are_remembered(tmp_path, interrupt):
    if interrupt is not None:
        with pytest.raises(KeyboardInterrupt):
            scripted(tmp_path, interrupt)
    # Halved after an epoch without a new best, but not in the two after that.
    expected = ([1, 1, 1, 0.5, 0.5], 3.0, 1, 3)
    assert scripted(tmp_path) == expected
    assert scripted(tmp_path) == expected  # It had ended: nothing runs again.


@pytest.mark.parametrize("interruptions", [(0,), (1, 3), (4,)])
def test_an_interrupted_training_ends_like_an_uninterrupted_one(tmp_path, interruptions, uninterrupted):
    for epoch in interruptions:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, interrupt=epoch)
    weights, history = train(tmp_path)
    assert history == uninterrupted[1]
    for resumed, expected in zip(weights, uninterrupted[0], strict=True):
        np.testing.assert_array_equal(resumed, expected)


def test_a_training_that_had_stopped_early_does_not_go_on(tmp_path):
    _, history = train(tmp_path, epochs=6, patience=0)
    _, again = train(tmp_path, epochs=6, patience=0)
    assert again == history
    assert json.loads((tmp_path / "resume" / "state.json").read_text())["epoch"] == len(history)


def test_only_the_last_epochs_weights_are_kept(tmp_path):
    train(tmp_path, epochs=3, patience=9)
    assert sorted(file.name for file in (tmp_path / "resume").iterdir()) == ["epoch3.weights.h5", "state.json"]


def test_keep_best_keeps_the_best_and_ignores_nan(tmp_path):
    model = model_with_dropout()
    keep = KeepBest(tmp_path / "best.weights.h5", "val_dice", "max")
    keep.set_model(model)
    for epoch, value in enumerate([0.2, float("nan"), 0.6, 0.4]):
        model.layers[0].bias.assign(np.full(2, epoch, "float32"))
        keep.on_epoch_end(epoch, {"val_dice": value})
    assert (keep.best, keep.best_epoch) == (0.6, 2)
    model.load_weights(tmp_path / "best.weights.h5")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.layers[0].bias), [2, 2])
    with pytest.raises(ValueError, match="monitors 'val_dice'.*contain"):
        keep.on_epoch_end(4, {"loss": 1.0})
    with pytest.raises(ValueError, match="mode"):
        KeepBest(tmp_path / "x.weights.h5", "val_dice", "auto")
    lowest = KeepBest(tmp_path / "low.weights.h5", "val_loss", "min")
    lowest.set_model(model)
    for epoch, value in enumerate([0.5, 0.3, 0.4]):
        lowest.on_epoch_end(epoch, {"val_loss": value})
    assert lowest.best_epoch == 1


def damaged(folder, change):
    """Run one epoch, change the folder of its state, and train again."""
    train(folder, epochs=1)
    change(folder / "resume")
    train(folder, epochs=2)


def edited(field, value):
    """A change of one field of state.json; without a field, of the whole text."""

    def change(folder):
        file = folder / "state.json"
        file.write_text(value if field is None else json.dumps({**json.loads(file.read_text()), field: value}))

    return change


def other_weights(folder):
    other = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3)])
    other.save_weights(folder / "epoch1.weights.h5")


DAMAGED = {
    "no JSON": (edited(None, "{"), "state.json is not JSON"),
    "a list": (edited(None, "[]"), "state.json: expected an object with epoch, weights"),
    "an empty file": (edited(None, ""), "state.json is not JSON"),
    "a field of another type": (
        edited("epoch", "1"),
        "expected `epoch` to be a whole number of at least 1. Received: '1'",
    ),
    "a path": (edited("weights", "../elsewhere/epoch1.weights.h5"), "expected `weights` to be the name of a file"),
    "an absolute path": (edited("weights", "/epoch1.weights.h5"), "expected `weights` to be the name of a file"),
    "missing weights": (edited("weights", "epoch7.weights.h5"), "names epoch7.weights.h5, which is not in"),
    "weights cut off": (lambda folder: (folder / "epoch1.weights.h5").write_bytes(b"HDF"), "is damaged or of another"),
    "weights of another model": (other_weights, "is damaged or of another"),
    "fewer callbacks": (edited("callbacks", [{}]), "is of another training: expected 5 callbacks.*Received: 1"),
    "an attribute of its own": (
        edited("callbacks", [{}, {}, {}, {}, {"path": 5}]),
        "KeepBest has no 'path' to restore",
    ),
    "text for a number": (edited("callbacks", [{}] * 4 + [{"best": "x"}]), "expected `callbacks` to be a list"),
    "seeds": (edited("seeds", [[1, 2, 3]]), "expected a random state of a layer. Received: \\(1, 2, 3\\)"),
    "negative seeds": (edited("seeds", [[2**63, 1]]), "expected `seeds` to be a list"),
    "states": (edited("states", [5]), "is of another training: expected 0 states"),
}


@pytest.mark.parametrize(("change", "message"), DAMAGED.values(), ids=DAMAGED)
def test_a_state_that_cannot_be_restored_says_what_to_delete(tmp_path, change, message):
    with pytest.raises(
        ValueError, match=f"(?s){message}.*This training cannot be resumed: delete .*resume to train again"
    ):
        damaged(tmp_path, change)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "resume").write_text("")
    with pytest.raises(ValueError, match="Resume expects `folder` to be a folder.*resume, which is a file"):
        train(tmp_path, epochs=1)


class Remembers(keras.callbacks.Callback):
    def get_state(self):
        return {"half": 1}

    def set_state(self, state):
        state["other half"]


def test_a_callback_that_cannot_read_its_state_is_named(tmp_path):
    for _ in range(2):
        model, data, callback = model_with_dropout(), Data(), Remembers()
        fit = {"callbacks": [callback, Resume(tmp_path, [callback])], "verbose": 0}
        if not (tmp_path / "state.json").exists():
            model.fit(data, **fit)
    with pytest.raises(ValueError, match="the state of Remembers cannot be restored.*delete"):
        model.fit(data, **fit)


def test_what_a_killed_process_left_is_swept(tmp_path):
    name = ".keras-uq-{}-{}-abcdef.weights.h5".format(process_name().rsplit("-", 2)[0], 2**22 + 1)
    (tmp_path / "resume").mkdir()
    for folder in (tmp_path, tmp_path / "resume"):
        (folder / name).write_text("")
    train(tmp_path, epochs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.weights.h5", "resume"]
    assert sorted(path.name for path in (tmp_path / "resume").iterdir()) == ["epoch1.weights.h5", "state.json"]


def test_options_out_of_range_are_refused(tmp_path):
    for name, wrongs in {
        "factor": (0, float("nan"), "0.1"),
        "every": (0, 2.5),
        "initial": (0, -1, float("inf")),
    }.items():
        for wrong in wrongs:
            with pytest.raises(ValueError, match=f"^StepDecay expects `{name}` to be .*Received: {name}="):
                StepDecay(**{name: wrong})
    for path in ("best.h5", None, 5):
        with pytest.raises(ValueError, match="^KeepBest expects `path` to end in .weights.h5"):
            KeepBest(path, "loss", "min")
    with pytest.raises(ValueError, match="^KeepBest expects `monitor`"):
        KeepBest("x.weights.h5", None, "min")


def test_keep_best_makes_its_folder_and_a_full_disk_leaves_the_last_best(tmp_path, monkeypatch):
    model = model_with_dropout()
    keep = KeepBest(tmp_path / "new" / "best.weights.h5", "loss", "min")
    keep.set_model(model)
    keep.on_epoch_end(0, {"loss": 1.0})
    before = keep.path.read_bytes()

    def full(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save_weights", full)
    with pytest.raises(OSError, match="No space"):
        keep.on_epoch_end(1, {"loss": 0.5})
    assert keep.path.read_bytes() == before
    assert [path.name for path in keep.path.parent.iterdir()] == ["best.weights.h5"]
