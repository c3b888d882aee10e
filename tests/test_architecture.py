"""Who may import whom, read off the syntax tree; and that the house is the one the design card draws."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED_FILE_READERS = {"nifti.py", "command.py", "published.py", "resume.py", "keep_best.py"}
FORBIDDEN = {
    "keras_uq": ["experiments", "data_prep", "tensorflow", "keras.src", "jax", "torch", "pickle"],
    "keras_uq/losses": ["keras_uq.metrics", "keras_uq.models", "keras_uq.inference", "keras_uq.callbacks"],
    "keras_uq/metrics": ["keras_uq.losses", "keras_uq.models", "keras_uq.inference", "keras_uq.callbacks"],
    "keras_uq/models": ["keras_uq.losses", "keras_uq.metrics", "keras_uq.inference", "keras_uq.callbacks"],
    "keras_uq/inference": ["keras_uq.losses", "keras_uq.models", "keras_uq.callbacks"],
    "keras_uq/callbacks": ["keras_uq.models"],
    "keras_uq/preprocessing": ["keras", "keras_uq.losses", "keras_uq.inference", "keras_uq.models"],
    "data_prep": ["keras", "experiments", "tensorflow", "pickle", *(f"keras_uq.{name}" for name in (
        "losses", "models", "callbacks", "inference", "metrics", "statistics", "plots"))],
    "experiments": ["keras.src", "pickle"],
}  # fmt: skip


def imports(path):
    """Dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(folder):
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, folder
    return found


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_arrows_point_one_way(folder):
    for path in files(folder):
        for name in imports(path):
            for forbidden in FORBIDDEN[folder]:
                assert not f"{name}.".startswith(f"{forbidden}."), f"{path} imports {name}"


def test_only_named_files_of_the_library_touch_the_disk():
    for path in files("keras_uq"):
        text = path.read_text()
        touches = any(word in text for word in ("open(", "read_text(", "write_text(", ".save_weights(", "zipfile"))
        assert not touches or path.name in ALLOWED_FILE_READERS, path


def test_no_file_is_too_long_to_read():
    for folder in ("keras_uq", "data_prep", "experiments"):
        for path in files(folder):
            assert len(path.read_text().splitlines()) <= 400, path


def test_top_level_is_that_of_the_design_card():
    """Of what git tracks: a developer's own folders do not matter."""
    git = shutil.which("git")
    listed = subprocess.run([git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False) if git else None
    if listed is None or listed.returncode != 0:
        pytest.skip("no git, or no clone")
    names = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    required = {
        *("keras_uq", "data_prep", "experiments", "results", "tests", ".ci", ".gitignore"),
        *("setup.cfg", "setup.py", "pyproject.toml", "Makefile"),
        *("README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md"),
    }
    allowed = {"docs", "benchmarks", "CONTRIBUTING.md", "SECURITY.md", ".gitattributes"}
    assert not required - names, "missing"
    assert not names - required - allowed, "not in the design"


def test_every_public_name_has_a_docstring():
    for folder in ("keras_uq", "data_prep", "experiments"):
        for path in files(folder):
            tree = ast.parse(path.read_text())
            if tree.body:
                assert ast.get_docstring(tree), path
            for node in tree.body:
                public = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
                assert not public or ast.get_docstring(node), f"{path}: {node.name}"
