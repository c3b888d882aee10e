"""TensorFlow's start-up lines stay off the screen of our commands; every other line, and every error, does not."""

import configparser
import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from keras_uq import _quiet

ROOT = Path(__file__).parent.parent
# TensorFlow 2.21 on a machine without GPU, then what 2.17 to 2.20 add on one with.
ON_CPU = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795775759.905412   12927 port.cc:153] oneDNN custom operations are on. You may see slightly different numerical results due to floating-point round-off errors from different computation orders. To turn them off, set the environment variable `TF_ENABLE_ONEDNN_OPTS=0`.
I0000 00:00:1795775759.957937   12927 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use available CPU instructions in performance-critical operations.
To enable the following instructions: AVX2 AVX512F FMA, in other operations, rebuild TensorFlow with the appropriate compiler flags.
E0000 00:00:1738926539.126842    2207 cuda_dnn.cc:8310] Unable to register cuDNN factory: Attempting to register factory for plugin cuDNN when one has already been registered
E0000 00:00:1738926539.133031    2207 cuda_blas.cc:1418] Unable to register cuBLAS factory: Attempting to register factory for plugin cuBLAS when one has already been registered
W0000 00:00:1738926539.153155    2207 computation_placer.cc:177] computation placer already registered. Please check linkage and avoid linking the same target more than once.
"""  # noqa: E501
NO_GPU = """\
I0000 00:00:1795775759.905691   12927 cudart_stub.cc:31] Could not find cuda drivers on your machine, GPU will not be used.
E0000 00:00:1795775763.305004   12927 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)
"""  # noqa: E501
OTHERS = """\
W0000 00:00:1795775759.905691   12927 gpu_device.cc:2342] Cannot dlopen some GPU libraries.
F0000 00:00:1795775759.905691   12927 port.cc:153] Check failed: ok
Traceback (most recent call last):
ImportError: libcudart: oneDNN custom operations are on
"""
LAST_WORDS = "what went wrong"


def run(*arguments, **options):
    """A fresh Python, for a user who has set nothing."""
    user = {name: value for name, value in os.environ.items() if not name.startswith("TF_")} | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=user, capture_output=True, text=True, timeout=120, check=False
    )


def run_quietly(code):
    """Run code that makes noise within `without_noise`."""
    return run(
        "-c",
        "import os, signal, sys\n"
        "from keras_uq import _quiet\n"
        "screen = os.fstat(2)\n"
        "with _quiet.without_noise():\n"
        f"    os.write(2, {ON_CPU.encode()!r})\n"
        f"    {code}\n"
        "assert os.path.samestat(os.fstat(2), screen)\n"
        "os.write(2, b'afterwards')",
    )


@pytest.mark.parametrize(("drivers", "dropped"), [((), ON_CPU + NO_GPU), (("/",), ON_CPU)], ids=["no GPU", "GPU"])
def test_only_known_lines_are_dropped(monkeypatch, drivers, dropped):
    monkeypatch.setattr(_quiet, "GPU_DRIVERS", drivers)
    lines = [f"{line}\n".encode() for line in (ON_CPU + NO_GPU + OTHERS).splitlines()]
    screen = io.BytesIO()
    _quiet._print_all_but_noise(lines, screen)
    kept = [line for line in lines if line.decode() not in dropped]
    assert screen.getvalue() == b"".join(kept)
    assert len(lines) - len(kept) == len(dropped.splitlines())


def test_other_lines_are_printed_at_once_and_in_order():
    done = run_quietly("print('python', file=sys.stderr); os.write(2, b'a half line')")
    assert (done.returncode, done.stderr) == (0, "python\na half lineafterwards")


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("raise ImportError('no such library')", 1),
        ("os._exit(3)", 3),
        ("os.abort()", -signal.SIGABRT),
        ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    ],
)
def test_whatever_the_end_its_last_words_are_printed(ending, status):
    done = run_quietly(f"os.write(2, b'{LAST_WORDS}'); {ending}")
    assert done.returncode == status
    assert done.stderr.startswith(LAST_WORDS)
    assert ("ImportError: no such library" in done.stderr) == (status == 1)


def test_a_broken_keras_shows_its_error(tmp_path):
    (tmp_path / "keras.py").write_text(f"import os\nos.write(2, b'{LAST_WORDS}')\nimport no_such_module")
    predict = "from keras_uq import _quiet; _quiet.install(); import keras_uq.inference.nifti"
    for command in ("import experiments, keras", predict):
        done = run("-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {command}")
        assert done.returncode == 1
        assert LAST_WORDS in done.stderr
        assert "ModuleNotFoundError: No module named 'no_such_module'" in done.stderr


def test_standard_error_may_be_closed():
    code = "import sys; from keras_uq import _quiet\nwith _quiet.without_noise(): print('works')"
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "works\n")


def test_the_library_leaves_a_program_of_the_users_alone():
    code = (
        "import sys, keras_uq; print([type(finder).__name__ for finder in sys.meta_path[:2]], 'keras' in sys.modules)"
    )
    assert "QuietKeras" not in run("-c", code).stdout
    assert "QuietKeras" in run("-c", code.replace("keras_uq", "experiments")).stdout


def test_the_first_operation_of_a_table_is_quiet():
    done = run("-c", "import experiments, keras; print(float(keras.ops.sum(keras.ops.ones(3))))")
    assert (done.returncode, done.stdout) == (0, "3.0\n")
    assert_quiet(done.stderr)


@pytest.mark.slow
def test_the_commands_are_quiet(tmp_path):
    package = configparser.ConfigParser()
    package.read(ROOT / "setup.cfg")
    module, function = package["options.entry_points"]["console_scripts"].split("=")[1].strip().split(":")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("keras_uq/preprocessing.json", "{}")
    (tmp_path / "s.nii").touch()
    options = ["--model", str(tmp_path / "m.keras"), "--image", str(tmp_path / "s.nii"), "--out", str(tmp_path / "o")]
    script = f"import sys, {module}; sys.argv[1:] = {['predict', *options]}; sys.exit({module}.{function}())"
    done = run("-c", script)
    assert done.returncode == 2
    assert "m.keras" in done.stderr  # It holds no model, as is told after the import of Keras.
    assert len(done.stderr.splitlines()) == 1
    done = run("-m", "experiments.kethavath2025.table2", "--help")
    assert done.returncode == 0
    assert "usage: " in done.stdout
    assert_quiet(done.stderr)


def assert_quiet(stderr):
    for words in ("absl::InitializeLog", "oneDNN", "cpu_feature_guard", "To enable the following", "cuda", "cuInit"):
        assert words not in stderr
