"""`import keras_uq` is light and knows its subpackages. That saved losses are found is a question to every loss."""

import subprocess
import sys

import pytest

import keras_uq


def test_import_alone_loads_nothing_heavy():
    script = "import sys, keras_uq; print(sorted({'keras', 'tensorflow', 'matplotlib', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr[-2000:]


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="'keras_uq' has no attribute 'nothing'"):
        _ = keras_uq.nothing
    assert {"losses", "inference", "__version__"} <= set(dir(keras_uq))
