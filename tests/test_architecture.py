"""Who may import whom, read off the syntax tree; and that the house is the one the design card draws."""

import ast
import graphlib
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED_FILE_READERS = {
    f"{name}.py"
    for name in (
        *("nifti", "_command_models", "model_file", "model_archive", "resume", "keep_best"),
        *("digests", "typed_json", "limits", "writing"),
    )
}
FORBIDDEN = {
    "keras_uq": ["experiments", "data_prep", "tensorflow", "keras.src", "jax", "torch", "pickle"],
    "keras_uq/losses": ["keras_uq.metrics", "keras_uq.models", "keras_uq.inference", "keras_uq.callbacks"],
    "keras_uq/metrics": ["keras_uq.losses", "keras_uq.models", "keras_uq.inference", "keras_uq.callbacks"],
    "keras_uq/models": ["keras_uq.losses", "keras_uq.metrics", "keras_uq.inference", "keras_uq.callbacks"],
    "keras_uq/inference": ["keras_uq.losses", "keras_uq.models", "keras_uq.callbacks"],
    "keras_uq/callbacks": ["keras_uq.models"],
    "keras_uq/files": ["keras", "numpy", *(f"keras_uq.{name}" for name in (
        "losses", "models", "callbacks", "inference", "metrics", "statistics", "plots", "preprocessing"))],
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


def import_graph(*folders):
    """`{module: modules that it imports}`, among the modules of these folders.

    Imports at module level, inside functions and under TYPE_CHECKING count alike.

    `from package import submodule` leads to the submodule, `from package import name` to the package's `__init__`. So
    a submodule that takes a name from its own package's `__init__`, which re-exports it, is a circle. Importing
    `package.module` also runs the `__init__` of `package`; that alone is no edge, or every package that re-exports its
    modules would be a circle.
    """
    modules = {}
    for folder in folders:
        for path in files(folder):
            parts = path.relative_to(ROOT).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph = {}
    for module, path in modules.items():
        graph[module] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} has a relative import"
                submodules = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [name if name in modules else node.module for name in submodules]
            else:
                continue
            graph[module].update(target for target in targets if target in modules)
    return graph


def test_the_graph_holds_imports_of_submodules_of_names_and_inside_functions():
    graph = import_graph("keras_uq", "data_prep", "experiments")
    assert {"data_prep.acdc", "data_prep.archive"} <= graph["data_prep.sources"]
    assert "keras_uq.inference" in graph["keras_uq.callbacks.adaptive_epsilon"]
    assert "keras_uq.inference.nifti" in graph["keras_uq.inference.command"]


def test_no_modules_import_each_other():
    try:
        graphlib.TopologicalSorter(import_graph("keras_uq", "data_prep", "experiments")).prepare()
    except graphlib.CycleError as error:
        pytest.fail("These modules import each other: " + " <- ".join(error.args[1]))


WRITE_SIDE = ("experiments.plan", "experiments.cell", "experiments.training", "experiments.inputs", "experiments.store")
READ_SIDE = ("experiments.run", "experiments.pages", "experiments.figures", "experiments.report", "experiments.study")


def reached(graph, start):
    """All modules that a module imports, and those that they import."""
    reached, waiting = set(), [start]
    while waiting:
        module = waiting.pop()
        waiting += graph[module] - reached
        reached |= graph[module]
    return reached


def within(module, packages):
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


def test_who_makes_records_never_reads_runs_and_pages_never_make_records():
    graph = import_graph("experiments")
    papers = [f"experiments.{path.parent.name}.scoring" for path in (ROOT / "experiments").glob("*20*/scoring.py")]
    assert len(papers) >= 5
    for module in graph:
        if within(module, WRITE_SIDE) or module in papers:
            assert not [name for name in reached(graph, module) if within(name, READ_SIDE)], module
        if within(module, READ_SIDE):
            assert not [name for name in reached(graph, module) if within(name, ["experiments.cell"])], module


def test_only_named_files_of_the_library_touch_the_disk():
    for path in files("keras_uq"):
        text = path.read_text().replace("Popen(", "")
        touches = any(word in text for word in ("open(", "read_text(", "write_text(", ".save_weights(", "zipfile"))
        assert not touches or path.name in ALLOWED_FILE_READERS, path


def test_no_file_is_too_long_to_read():
    for folder, longest in {"keras_uq": 400, "data_prep": 400, "experiments": 250}.items():
        for path in files(folder):
            assert "benchmarks" in path.parts or len(path.read_text().splitlines()) <= longest, path


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


# Methods that Keras calls: their signatures are Keras's, and their tensors belong to three backends.
KERAS_METHODS = ("on_", "call", "update_state", "result")


def public_functions(path):
    """Functions and methods that a user of this file calls, constructors included."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            members = [member for member in node.body if isinstance(member, ast.FunctionDef)]
            yield from (m for m in members if m.name == "__init__" or not m.name.startswith(("_", *KERAS_METHODS)))
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node


def test_public_functions_are_annotated():
    """An editor shows the type of every argument and result. Losses take tensors of three backends and are left out."""
    for path in [*files("keras_uq"), *files("data_prep")]:
        if "losses" in path.parts or path.name.startswith("_"):
            continue
        for function in public_functions(path):
            arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            arguments += [extra for extra in (function.args.vararg, function.args.kwarg) if extra is not None]
            missing = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
            assert not missing, f"{path}: {function.name} has no type for {missing}"
            assert function.returns is not None, f"{path}: {function.name} has no type for its result"


def test_every_public_name_has_a_docstring():
    for folder in ("keras_uq", "data_prep", "experiments"):
        for path in files(folder):
            tree = ast.parse(path.read_text())
            if tree.body:
                assert ast.get_docstring(tree), path
            for node in tree.body:
                public = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
                assert not public or ast.get_docstring(node), f"{path}: {node.name}"
