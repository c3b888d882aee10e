"""Model files from strangers: each fault is told with file, reason and advice, before anything large is allocated."""

import contextlib
import errno
import io
import json
import os
import re
import shutil
import struct
import threading
import time
import tracemalloc
import types
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from keras_uq.files import BadFile
from keras_uq.inference import (
    QualityCard,
    load_model,
    read_multilabel,
    read_preprocessing,
    read_quality,
    read_window,
    save_model,
)
from keras_uq.inference.model_checks import bounded_weights, check_network, check_scan
from keras_uq.preprocessing import Preprocessing

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
HDF5 = b"\x89HDF\r\n\x1a\n" + b"\0" * 50
PREPROCESSING, WINDOW = "keras_uq/preprocessing.json", "keras_uq/window.json"
CHANNELS, QUALITY = "keras_uq/channels.json", "keras_uq/quality.json"


def network(side=None, pools=1):
    """A tiny network whose images need sides that are multiples of `2**pools`."""
    inputs = hidden = keras.Input((side, side, 1), name="image")
    skips = []
    for _ in range(pools):
        hidden = layers.Conv2D(2, 3, padding="same", activation="relu", name=None if skips else "conv")(hidden)
        skips.append(hidden)
        hidden = layers.MaxPooling2D()(hidden)
    hidden = layers.Dropout(0.5, name="drop")(hidden)
    for skip in reversed(skips):
        hidden = layers.Concatenate()([layers.UpSampling2D()(hidden), skip])
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid", name="head")(hidden))


@contextlib.contextmanager
def at_most(size):
    """A context that may allocate at most `size` bytes in Python and NumPy."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def valid(tmp_path_factory):
    """Members of a valid model file, `{name: bytes}`."""
    path = tmp_path_factory.mktemp("valid") / "m.keras"
    save_model(network(), path, Preprocessing(multiple=2))
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if content is not None:
                archive.writestr(name, content)
    return path


@pytest.fixture
def changed(valid, tmp_path):
    """Write the valid model with changed members; a change of the configuration may be a function of its layers."""

    def make(layer=None, /, **changes):
        members = dict(valid)
        if layer is not None:
            config = json.loads(members[CONFIG])
            layer({entry["config"]["name"]: entry for entry in config["config"]["layers"]})
            members[CONFIG] = json.dumps(config)
        return write(tmp_path / "x.keras", {**members, **changes})

    return make


def test_the_valid_file_is_loaded_with_all_that_it_carries(changed):
    path = changed(**{WINDOW: '{"window": [8, 16, 16]}', CHANNELS: '{"multilabel": true}'})
    assert load_model(path).output_shape == (None, None, None, 1)
    assert read_window(path) == (8, 16, 16)
    assert read_multilabel(path) is True
    assert read_preprocessing(path) == Preprocessing(multiple=2)
    assert read_quality(path) is None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.keras", b"", "is empty"),
        ("x.keras", b"no zip\n" * 50, "a .keras file is a zip archive, and this is none"),
        (
            "x.keras",
            b"\x89HDF\r\n\x1a\n" + b"\0" * 50,
            "HDF5 file, as older versions .*keras.saving.load_model.*save_model",
        ),
        ("x.weights.h5", HDF5, "weights only.*load_weights"),
        ("x.keras", b"PK\x03\x04" + b"\0" * 50, "damaged or ends early. Copy it again"),
    ],
)
def test_what_is_no_archive_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    for read in (load_model, read_preprocessing, read_multilabel, read_quality, read_window):
        with pytest.raises(BadFile, match=f"{name} is no Keras model: .*{message}"):
            read(path)


def test_a_missing_file_is_told_by_every_reader(tmp_path):
    for read in (load_model, read_preprocessing, read_multilabel, read_quality, read_window):
        with pytest.raises(ValueError, match="no model file .*none.keras"):
            read(tmp_path / "none.keras")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({CONFIG: None}, "without config.json"),
        ({WEIGHTS: None}, "without model.weights.h5"),
        ({CONFIG: b""}, r"\(config.json\) is not JSON"),
        ({CONFIG: b"[]"}, r"\(config.json\): expected an object"),
        ({CONFIG: b"null"}, r"\(config.json\): expected an object"),
        ({CONFIG: b"[" * 200_000}, "nested too deeply"),
        ({CONFIG: b'{"class_name": "M", "config": {"layers": "abc"}}'}, "expected `layers` to be a list of layers"),
        ({CONFIG: b'{"class_name": "M", "config": 3}'}, "expected the `class_name` and the `config` of a model"),
        (
            {CONFIG: b'{"class_name": "M", "config": {"a": ' + b'{"a":' * 300 + b"1" + b"}" * 302},
            "nested too deeply or has too many",
        ),
        ({CONFIG: b" " * (16 * 2**20 + 1)}, "config.json has 16777217 bytes; expected at most 16777216"),
        ({WEIGHTS: b""}, "is damaged: its weights"),
        ({WEIGHTS: b"junk" * 1000}, "is damaged: its weights"),
        ({"../outside.txt": b"x"}, "refused for safety: its member '../outside.txt'"),
        ({"/outside.txt": b"x"}, "refused for safety: its member '/outside.txt'"),
        ({"assets/../../x": b"x"}, "refused for safety"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_damaged_archive_is_refused_with_its_member(changed, changes, message):
    with pytest.raises(BadFile, match=f"x.keras.*{message}"):
        load_model(changed(**changes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layer: layer["head"]["config"].update(filters=-3), "`filters` of layer 'head' to be a whole number"),
        (lambda layer: layer["head"]["config"].update(filters="2"), "`filters` of layer 'head' to be a whole number"),
        (lambda layer: layer["head"]["config"].update(filters=2**31 - 1), "`filters` of layer 'head'"),
        (lambda layer: layer["head"]["config"].update(kernel_size=[100_000, 100_000]), "100000.* in layer 'head'"),
        (lambda layer: layer["head"]["build_config"].update(input_shape=[None, 8, 8, 2**27]), "in layer 'head'"),
        (lambda layer: layer["head"]["build_config"].update(input_shape=[None, 8, 8, 2**60]), "in layer 'head'"),
        (lambda layer: layer["drop"]["config"].update(rate=2.0), r"layer 'drop' \(Dropout\) has a setting .*rate=2.0"),
        (lambda layer: layer["head"]["config"].update(activation="nope"), r"layer 'head' \(Conv2D\).*identifier: nope"),
        (
            lambda layer: layer["head"].update(class_name="Nope"),
            "needs 'keras.layers.Nope', which Keras 3",
        ),
        (
            lambda layer: layer["head"].update(module="os", class_name="system"),
            "needs 'os.system', which Keras",
        ),
        (
            lambda layer: layer["head"]["config"].update(
                activation={"module": "keras.utils", "class_name": "function", "config": "get_file"}
            ),
            "is refused for safety: .*keras.utils.get_file",
        ),
        (
            lambda layer: layer["drop"].update(
                class_name="Lambda", config={"name": "drop", "function": {"class_name": "__lambda__", "config": {}}}
            ),
            "is refused for safety: .*Lambda",
        ),
    ],
)
def test_a_configuration_is_refused_quickly_and_in_few_words(changed, change, message):
    path, start = changed(change), time.monotonic()
    with at_most(20 * 2**20), pytest.raises(BadFile, match=f"x.keras.*{message}") as caught:
        load_model(path)
    assert time.monotonic() - start < 2
    assert len(str(caught.value)) < 600


def test_weights_are_counted_before_they_are_allocated(changed, monkeypatch):
    """Whatever layer asks for them, and whatever it says of its input."""

    def widen(layer):
        for entry in layer.values():
            entry.pop("build_config", None)
        layer["conv"]["config"].update(filters=600)
        layer["head"]["config"].update(filters=600, kernel_size=[3, 3])

    def normalise(layer):
        layer["drop"].update(class_name="BatchNormalization", config={"name": "drop"})
        layer["drop"]["build_config"] = {"input_shape": [None, 8, 8, 2**27]}

    def embed(layer):
        layer["drop"].update(class_name="Embedding", config={"name": "drop", "input_dim": 2**30, "output_dim": 8})

    load_model(changed())
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "8M")
    for change, shape, name in (
        (widen, "(3, 3, 1200, 600)", "head"),
        (normalise, "(134217728,)", "drop"),
        (embed, "(1073741824, 8)", "drop"),
    ):
        message = re.escape(f"weight of shape {shape} in layer '{name}'") + ".*8.0 MiB"
        with at_most(20 * 2**20), pytest.raises(BadFile, match=message):
            load_model(changed(change))
    assert layers.Dense(3).add_weight((2,)).shape == (2,)


def test_weights_are_counted_in_the_thread_that_loads():
    with bounded_weights("x.keras", 0):
        thread = threading.Thread(target=lambda: layers.Dense(1).build((None, 10**8)))
        thread.start()
        thread.join()
        with pytest.raises(BadFile, match="x.keras asks for"):
            layers.Dense(1).build((None, 10**8))
    layers.Dense(2).build((None, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layer: layer["drop"]["config"].update(rate="0.5"), r"layer 'drop' \(Dropout\).*of a wrong type"),
        (lambda layer: layer["head"]["config"].update(activation="\x1b[2Jnope"), "identifier: .*nope"),
    ],
)
def test_messages_are_of_words_and_printable(changed, change, message):
    with pytest.raises(BadFile, match=message) as caught:
        load_model(changed(change))
    assert str(caught.value).isprintable()


def test_a_directory_of_the_archive_that_lies_is_damage(changed):
    path = changed()
    raw = bytearray(path.read_bytes())
    struct.pack_into("<I", raw, raw.find(b"PK\x01\x02") + 42, 2**31)
    path.write_bytes(raw)
    with pytest.raises(BadFile, match="x.keras is damaged: a member cannot be read"):
        load_model(path)


def test_nested_models_and_wrapped_layers_are_looked_into(changed):
    inner = {"class_name": "Conv2D", "module": "keras.layers", "config": {"name": "inner", "filters": 10**9}}
    with pytest.raises(BadFile, match="`filters` of layer 'inner'"):
        load_model(changed(lambda layer: layer["drop"]["config"].update(layer=[{"deep": inner}])))


def test_sizes_are_not_trusted(valid, tmp_path):
    """A member is larger than the archive declares: no more than is expected is read."""
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(PREPROCESSING, b" " * 2**27)
    with pytest.raises(BadFile, match="preprocessing.json has 134217728 bytes; expected at most 1048576"):
        read_preprocessing(path)
    raw = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", raw, raw.find(signature) + at, 100)
    path.write_bytes(raw)
    with at_most(8 * 2**20), pytest.raises(BadFile, match="is damaged|is larger than"):
        read_preprocessing(path)


def test_memory_is_compared_with_the_limit_before_it_is_used(changed, monkeypatch):
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "1M")
    load_model(changed())
    with pytest.raises(BadFile, match=r"declares 2.0 MiB of content; the limit is 1.0 MiB \(KERAS_UQ_MAX_MEMORY\)"):
        load_model(changed(**{"assets/a": b"x" * 2**21}))
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("layers/a/vars/0", (2**30,), "float32", compression="gzip", chunks=(2**20,))
    with pytest.raises(BadFile, match="declares 4.0 GiB of weights"):
        load_model(changed(**{WEIGHTS: stream.getvalue()}))


@pytest.mark.parametrize("flag", ["encrypted", "method"])
def test_archives_that_need_a_password_or_another_method_are_refused(changed, flag):
    path = changed()
    raw, at = bytearray(path.read_bytes()), 0
    for signature, flags, method in ((b"PK\x03\x04", 6, 8), (b"PK\x01\x02", 8, 10)):
        while (at := raw.find(signature, at)) >= 0:
            struct.pack_into(
                "<H", raw, at + (flags if flag == "encrypted" else method), 1 if flag == "encrypted" else 14
            )
            at += 4
        at = 0
    path.write_bytes(raw)
    for read in (load_model, read_preprocessing):
        with pytest.raises(
            BadFile, match="Unpack it with its password" if flag == "encrypted" else "neither stored nor deflated"
        ):
            read(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_are_there_twice_are_refused(changed):
    path = changed()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(PREPROCESSING, '{"window": [1, 1]}')
    for read in (load_model, read_preprocessing):
        with pytest.raises(BadFile, match=f"has members twice: .*{PREPROCESSING}"):
            read(path)


@pytest.mark.parametrize(
    ("read", "member", "text"),
    [
        (read, member, text)
        for read, member, texts in (
            (read_preprocessing, PREPROCESSING, ['{"median": 4}']),
            (
                read_window,
                WINDOW,
                ['{"window": 5}', "{}", '{"window": ["a", 1]}', '{"window": [-1, 16]}', '{"window": []}'],
            ),
            (read_window, WINDOW, ['{"window": [16.5, 16]}', '{"window": [1000000, 16]}', '{"window": [true, true]}']),
            (read_window, WINDOW, ['{"window": [8, 8, 8, 8]}']),
            (read_multilabel, CHANNELS, ['{"multilabel": 1}', '{"multilabel": "no"}', "{}"]),
            (read_quality, QUALITY, ["{}", '{"classes": [{"label": 1}]}']),
        )
        for text in ["{", "[]", "null", "[" * 100_000, *texts]
    ],
    ids=lambda value: value.__name__ if callable(value) else value[:30],
)
def test_additions_are_read_with_their_kinds(changed, read, member, text):
    with pytest.raises(BadFile, match=rf"x.keras \({member}\)"):
        read(changed(**{member: text}))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_found_at_load(tmp_path, value):
    model = network()
    kernel = model.get_layer("head").kernel
    numbers = np.array(kernel)
    numbers[0, 0, 1] = value
    kernel.assign(numbers)
    save_model(model, tmp_path / "x.keras", Preprocessing())
    with pytest.raises(ValueError, match="x.keras: 1 of the 4 numbers of weight head/kernel are NaN or inf.*diverge"):
        load_model(tmp_path / "x.keras")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16", "float64"])
def test_models_of_any_precision_are_saved_and_loaded(tmp_path, policy):
    inputs = keras.Input((8, 8, 1), dtype="float32")
    hidden = layers.BatchNormalization(dtype=policy)(layers.Conv2D(2, 3, padding="same", dtype=policy)(inputs))
    model = keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid", dtype=policy)(layers.Dropout(0.5)(hidden)))
    save_model(model, tmp_path / "x.keras", Preprocessing())
    for ours, theirs in zip(load_model(tmp_path / "x.keras").get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(np.asarray(ours, "float32"), np.asarray(theirs, "float32"))


def test_models_that_do_not_segment_are_refused_with_their_shapes(tmp_path):
    image, other = keras.Input((None, None, 1)), keras.Input((None, None, 1))
    maps = layers.Conv2D(1, 1)(image)
    cases = {
        "2 inputs": keras.Model([image, other], layers.Add()([maps, other])),
        r"2 outputs.*model.outputs\[0\]": keras.Model(image, [maps, layers.ReLU()(maps)]),
        r"returns \(None, 1\) for images of \(None, None, None, 1\)": keras.Model(
            image, layers.GlobalAveragePooling2D()(maps)
        ),
    }
    fixed = keras.Input((32, 32, 1))
    cases[r"returns \(None, 16, 16, 1\)"] = keras.Model(fixed, layers.MaxPooling2D()(fixed))
    vector = keras.Input((7,))
    cases["Expected images"] = keras.Model(vector, layers.Dense(1)(vector))
    for number, (message, model) in enumerate(cases.items()):
        save_model(model, tmp_path / f"{number}.keras", Preprocessing())
        with pytest.raises(ValueError, match=f"{number}.keras.*{message}"):
            load_model(tmp_path / f"{number}.keras")


@pytest.mark.parametrize("pools", [0, 1, 3])
def test_sides_that_the_network_cannot_take_are_told_with_their_multiple(pools):
    model, multiple = network(pools=pools), 2**pools
    check_scan(model, (5, 3 * multiple, 5 * multiple, 1))
    for shape in ((5, 3 * multiple, 5 * multiple, 1), (1, multiple, multiple, 1)):
        assert model(np.zeros(shape, "float32")).shape == shape
    if pools:
        with pytest.raises(ValueError, match=f"s.nii.gz: .* multiples of {multiple}.*`multiple={multiple}`"):
            check_scan(model, (5, 3 * multiple + multiple // 2, 5 * multiple, 1), "s.nii.gz")


def test_the_multiple_is_told_for_a_network_that_needs_more_than_one():
    image = hidden = keras.Input((None, None, 1))
    hidden = layers.ZeroPadding2D(4)(layers.Conv2D(1, 9)(layers.MaxPooling2D()(hidden)))
    with pytest.raises(ValueError, match="`multiple=2`"):
        check_scan(keras.Model(image, layers.UpSampling2D()(hidden)), (5, 33, 34, 1))


def test_images_that_the_network_cannot_take_are_told():
    with pytest.raises(ValueError, match=r"images of exactly 16 x 16. Received: 32 x 32.*`size` or `crop`"):
        check_scan(network(16), (5, 32, 32, 1))
    with pytest.raises(ValueError, match="takes 1 channels. Received: 3"):
        check_scan(network(), (5, 32, 32, 3))
    with pytest.raises(ValueError, match="takes 2 spatial axes"):
        check_scan(network(), (5, 8, 32, 32, 1))
    image = keras.Input((None, None, 1))
    with pytest.raises(ValueError, match=r"returns \(1, 16, 16, 1\) for images of \(5, 32, 32, 1\)"):
        check_scan(keras.Model(image, layers.MaxPooling2D()(image)), (5, 32, 32, 1))


def test_a_layer_that_needs_too_much_memory_is_named(monkeypatch):
    image = keras.Input((None, None, 1))
    hidden = layers.UpSampling2D(1000, name="bomb")(image)
    model = keras.Model(image, layers.AveragePooling2D(1000)(hidden))
    check_scan(model, (5, 3, 3, 1))  # 4 * 3000 * 3000 bytes are 34 MiB.
    monkeypatch.setenv("KERAS_UQ_MAX_MEMORY", "30M")
    with pytest.raises(ValueError, match=r"s.nii: layer 'bomb' would return \(1, 3000, 3000, 1\).*34.3 MiB"):
        check_scan(model, (5, 3, 3, 1), "s.nii")


class Unknowing(keras.Model):
    """A model that knows neither its shapes nor how to compute them."""

    def call(self, x):
        return x


def test_models_that_do_not_know_their_shapes_are_left_alone():
    model = Unknowing()
    model(np.zeros((1, 4, 4, 1), "float32"))
    check_network(model)
    check_scan(model, (5, 7, 7, 1))


def test_a_failure_of_the_disk_is_not_blamed_on_the_model(changed, tmp_path, monkeypatch):
    path = changed()

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    def wrapped(*arguments, **options):
        try:
            full()
        except OSError as error:
            raise ValueError("A total of 7 objects could not be loaded.") from error

    for failing in (full, wrapped):
        monkeypatch.setattr(keras.saving, "load_model", failing)
        with pytest.raises(OSError, match="^No space left on device while the model file .*x.keras was unpacked to"):
            load_model(path)


def test_room_for_unpacking_is_looked_for_before(changed, monkeypatch):
    path = changed()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=1024))
    with pytest.raises(OSError, match=r"No space left on device: .*x.keras needs .* 1.0 KiB are free.*TMPDIR"):
        load_model(path)


@pytest.mark.parametrize("failing", ["save", "writestr"])
def test_a_full_disk_leaves_nothing_and_an_older_file_as_it_was(tmp_path, monkeypatch, failing):
    model, path = network(), tmp_path / "m.keras"
    save_model(model, path, Preprocessing(multiple=4))
    before = path.read_bytes()

    def full(self, *arguments, **options):
        if isinstance(self, keras.Model):
            arguments[0].write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keras.Model if failing == "save" else zipfile.ZipFile, failing, full)
    with pytest.raises(OSError, match="^No space left on device while the model file .*m.keras was written"):
        save_model(model, path, Preprocessing(multiple=2))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_arguments_of_save_model_are_checked(tmp_path):
    model, steps = network(), Preprocessing()
    for arguments, message in (
        ({"preprocessing": None}, "`preprocessing` to be a Preprocessing"),
        ({"preprocessing": steps.to_json()}, "`preprocessing` to be a Preprocessing"),
        ({"multilabel": "no"}, "`multilabel` to be true or false"),
        ({"quality": "{}"}, f"`quality` to be a {QualityCard.__name__}"),
        ({"window": (0, 16, 16)}, "`window`"),
        ({"window": (16.5, 16)}, "`window`"),
    ):
        with pytest.raises(ValueError, match=f"^save_model expects {message}"):
            save_model(model, tmp_path / "m.keras", **{"preprocessing": steps, **arguments})
    with pytest.raises(ValueError, match="no folder .*none"):
        save_model(model, tmp_path / "none" / "m.keras", steps)
    assert not list(tmp_path.iterdir())


def test_a_killed_save_is_swept_by_the_next(tmp_path):
    left = tmp_path / ".keras-uq-otherhost-1-abcdef.keras"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    save_model(network(), tmp_path / "m.keras", Preprocessing())
    assert [path.name for path in tmp_path.iterdir()] == ["m.keras"]
