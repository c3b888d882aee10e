"""Write `keras_uq/losses/__init__.pyi`: the losses as editors and type checkers see them.

    python -m tests.types.stub

The losses get their full signatures and docstrings when they are imported, which an editor does not do. The stub holds
the result.
"""

import inspect
import json
import re
import textwrap
import types
import typing
from inspect import Parameter
from pathlib import Path

from keras_uq import losses
from keras_uq.losses._base import Reduction

PATH = Path(losses.__file__).with_suffix(".pyi")
# Classes that type checkers read from the source.
FROM_SOURCE = (losses.SegmentationLoss, losses.TverskyCEWeights)
HEADER = """\
# Written by `python -m tests.types.stub` from the signatures and docstrings of the losses. Do not edit.
from collections.abc import Sequence
from typing import Any, Literal

import numpy
from keras import DTypePolicy
from keras.metrics import Metric

from keras_uq.losses._base import Reduction
"""


def text_of_stub():
    """The text of the stub, formatted as ruff would format it."""
    public = [getattr(losses, name) for name in losses.__all__]
    imports = [f"from {thing.__module__} import {thing.__name__} as {thing.__name__}\n" for thing in FROM_SOURCE]
    names = "".join(f'    "{name}",\n' for name in losses.__all__)
    definitions = [_class(thing) if inspect.isclass(thing) else _function(thing) for thing in _without_source(public)]
    return HEADER + "".join(imports) + f"\n__all__ = [\n{names}]\n\n" + "\n".join(definitions)


def _without_source(public):
    return [thing for thing in public if thing not in FROM_SOURCE]


def _class(loss):
    parameters = list(inspect.signature(loss).parameters.values())
    attributes = [
        f"{parameter.name}: {_type(parameter.annotation)}"
        for parameter in parameters
        if parameter.name not in ("name", "reduction", "dtype")
    ]
    properties = [
        f"@property\ndef {name}(self) -> {_type(inspect.signature(member.fget).return_annotation)}: ..."
        for name, member in vars(loss).items()
        if isinstance(member, property)
    ]
    initialise = _signature("__init__", [Parameter("self", Parameter.POSITIONAL_OR_KEYWORD), *parameters], "None")
    body = "\n".join([_docstring(loss) + "\n", *attributes, initialise + " ...", *properties])
    return f"class {loss.__name__}(SegmentationLoss):\n{_indent(body)}\n"


def _function(loss):
    signature = _signature(loss.__name__, inspect.signature(loss).parameters.values(), "Any")
    return f"{signature}\n{_indent(_docstring(loss))}\n"


def _signature(name, parameters, returns):
    lines = []
    for parameter in parameters:
        if parameter.kind is Parameter.KEYWORD_ONLY and "*" not in lines:
            lines.append("*")
        line = parameter.name if parameter.name == "self" else f"{parameter.name}: {_type(parameter.annotation)}"
        if parameter.default is not Parameter.empty:
            line += f" = {_value(parameter.default)}"
        lines.append(line)
    return f"def {name}(\n" + "".join(f"    {line},\n" for line in lines) + f") -> {returns}:"


def _type(annotation):
    """An annotation as one would write it with the imports of the stub; without one, `Any`."""
    if annotation is Parameter.empty:
        return "Any"
    if isinstance(annotation, str):
        return annotation
    if annotation == Reduction:
        return "Reduction"
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " | ".join(_type(argument) for argument in arguments)
    if typing.get_origin(annotation) is typing.Literal:
        return f"Literal[{', '.join(_value(argument) for argument in arguments)}]"
    if annotation is types.NoneType:
        return "None"
    # Classes without their modules; `numpy.ndarray` is written in lower case.
    return re.sub(r"\b(\w+\.)+(?=[A-Z])", "", inspect.formatannotation(annotation))


def _value(value):
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _docstring(thing):
    return f'"""{inspect.getdoc(thing)}\n"""'


def _indent(text):
    return textwrap.indent(text, "    ")


if __name__ == "__main__":
    PATH.write_text(text_of_stub())
    print(f"written: {PATH}")
