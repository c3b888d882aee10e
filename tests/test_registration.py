"""A saved loss is found whichever of the two packages was imported first, and Keras is loaded only when needed."""

import subprocess
import sys

import pytest


def run(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.parametrize("imports", ["import keras_uq, keras", "import keras, keras_uq", "from keras_uq import losses"])
def test_losses_are_registered(imports):
    script = f"""
{imports}
import keras
print(keras.saving.get_registered_object("keras_uq>Tversky"), keras.saving.get_registered_object("keras_uq>tversky"),
      keras.saving.get_registered_object("keras_uq>DiceMetric"))
"""
    printed = run(script)
    assert "keras_uq.losses.tversky.Tversky" in printed
    assert "function tversky" in printed
    assert "DiceMetric" in printed


def test_import_alone_loads_nothing_heavy():
    assert run("import sys, keras_uq; print('keras' in sys.modules, 'matplotlib' in sys.modules)") == "False False"


def test_unknown_names_are_attribute_errors():
    assert run("import keras_uq\ntry:\n    keras_uq.nothing\nexcept AttributeError as e:\n    print(e)").endswith(
        "no attribute 'nothing'"
    )
    assert "losses" in run("import keras_uq; print(dir(keras_uq))")
