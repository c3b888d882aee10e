"""What a stranger gets: the wheel holds the library only and runs the README's example where nothing else is."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)], check=True, capture_output=True
    )
    (path,) = folder.glob("*.whl")
    return path


def readme_example():
    """The Python blocks of the README, one after the other."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 5
    return "\n".join(blocks)


@pytest.mark.slow
def test_the_wheel_holds_the_library_only(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entry_points,) = [name for name in names if name.endswith("entry_points.txt")]
        assert "keras-uq = keras_uq.__main__:main" in archive.read(entry_points).decode()
        (metadata,) = [name for name in names if name.endswith("METADATA")]
        text = archive.read(metadata).decode()
    assert {name.split("/")[0] for name in names} == {"keras_uq", f"keras_uq-{wheel.name.split('-')[1]}.dist-info"}
    assert all(name.endswith((".py", ".pyi", "py.typed")) or ".dist-info/" in name for name in names)
    assert {"keras_uq/py.typed", "keras_uq/losses/__init__.pyi"} <= set(names)
    assert "License-Expression: Apache-2.0" in text
    for extra in ("prep", "plots", "dev", "gpu", "jax", "torch"):
        assert f"Provides-Extra: {extra}" in text


@pytest.mark.slow
def test_the_readme_example_runs_in_an_empty_environment(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", str(wheel)], check=True, capture_output=True)
    (tmp_path / "example.py").write_text(readme_example())
    done = subprocess.run(
        [str(python), "example.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "entropy" in done.stdout
    assert "ECE" in done.stdout
    assert "epsilon of three images" in done.stdout
    assert "std (1, 40, 48, 44, 2)" in done.stdout
    assert (tmp_path / "m.keras").exists()
