"""The stub of the losses is that of the code, and the calls that the type checker sees are complete and tell the truth.

The type checker itself runs with `python -m tests.types`.
"""

import ast
import inspect
from pathlib import Path

import pytest

from keras_uq import losses
from keras_uq.losses._arguments import OPTIONS
from tests.types import __main__ as checker
from tests.types import stub

TEXT = checker.CALLS.read_text()
MARKS = checker.marks(TEXT)
# `(line number, name of the loss, names of the arguments)` of each call of a public name.
CALLS = [
    (call.lineno, call.func.attr, [*[None] * len(call.args), *[keyword.arg for keyword in call.keywords]])
    for call in ast.walk(ast.parse(TEXT))
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in losses.__all__
]
LOSSES = [name for name in losses.__all__ if name != "SegmentationLoss"]
SHARED = {option.name for option in OPTIONS} | {"name", "reduction", "dtype", "y_true", "y_pred"}


def test_the_stub_is_up_to_date():
    assert stub.PATH.read_text() == stub.text_of_stub(), "run: python -m tests.types.stub"


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_has_a_right_call_with_all_its_arguments_and_a_wrong_one(name):
    right = [arguments for line, called, arguments in CALLS if called == name and line not in MARKS]
    wrong = [line for line, called, _ in CALLS if called == name and line in MARKS]
    own = set(inspect.signature(getattr(losses, name)).parameters) - SHARED
    assert right
    assert own <= {argument for arguments in right for argument in arguments}
    assert wrong


@pytest.mark.parametrize("kind", ["class", "function"])
def test_every_option_is_in_a_right_call(kind):
    is_kind = inspect.isclass if kind == "class" else inspect.isfunction
    right = [arguments for line, name, arguments in CALLS if is_kind(getattr(losses, name)) and line not in MARKS]
    options = SHARED - ({"y_true", "y_pred", "mask"} if kind == "class" else {"name", "reduction", "dtype"})
    assert options <= {argument for arguments in right for argument in arguments}


@pytest.fixture(scope="module")
def variables():
    """The variables of `calls.py` after all its right calls."""
    lines = ["" if number in MARKS else line for number, line in enumerate(TEXT.splitlines(), start=1)]
    variables = {"__name__": "calls"}
    exec(compile("\n".join(lines), checker.CALLS, "exec"), variables)
    return variables


EXCEPTIONS = {"reportCallIssue": TypeError, "reportAttributeAccessIssue": AttributeError}


@pytest.mark.parametrize("number", [number for number, rule in MARKS.items() if rule in EXCEPTIONS])
def test_right_calls_run_and_wrong_ones_fail(variables, number):
    with pytest.raises(EXCEPTIONS[MARKS[number]]):
        exec(TEXT.splitlines()[number - 1], variables)


def test_differences_are_found_in_both_directions():
    errors = [(checker.CALLS, 1, "reportCallIssue", "a"), (checker.CALLS, 2, "reportCallIssue", "b")]
    assert checker.differences({1: "reportCallIssue", 2: "reportCallIssue"}, errors) == []
    assert "calls.py:2: reported, but not marked: b" in checker.differences({1: "reportCallIssue"}, errors)[0]
    assert (
        "calls.py:3: marked, but not reported"
        in checker.differences(dict.fromkeys((1, 2, 3), "reportCallIssue"), errors)[0]
    )
    assert len(checker.differences({1: "reportArgumentType", 2: "reportCallIssue"}, errors)) == 1
    in_the_stub = [(Path("__init__.pyi"), 1, "reportCallIssue", "c")]
    assert len(checker.differences({}, in_the_stub)) == 1
