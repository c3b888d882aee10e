"""The arguments of the losses: full signatures, full docstrings, and errors that name the wrong argument.

In the source, a loss function names its specific arguments and passes `**options` on to `Pair`. Callers see more: the
signature and the docstring of the function and of its class list every option. An argument that is annotated with
`Literal` must have one of its values; `KINDS` and the decorator of a loss say what the others may be.
"""

import difflib
import functools
import inspect
import re
import textwrap
from collections.abc import Callable
from inspect import Parameter
from typing import Any, Literal, TypeVar, get_args, get_origin

import keras
import numpy as np

from keras_uq._kinds import Choice, Flag, Integer, Items, Kind, Maybe, Number, Text, argument, shown
from keras_uq._values import check_numbers
from keras_uq.losses._pair import Pair

Registered = TypeVar("Registered", bound=Callable[..., Any])

# Arguments of the functions that change from batch to batch, so that the classes do not have them.
OF_A_BATCH = ("y_true", "y_pred", "mask")
OPTIONS = [
    parameter.replace(kind=Parameter.KEYWORD_ONLY)
    for name, parameter in inspect.signature(Pair).parameters.items()
    if name not in ("caller", "y_true", "y_pred")
]
# Kinds of the options of every loss.
OPTION_KINDS = {
    "include_background": Flag(),
    "class_weights": Maybe(Items(Number(least=0), least=1)),
    "ignore_value": Maybe(Number()),
    "multilabel": Flag(),
    "from_logits": Flag(),
}
# Kinds of the arguments of the loss functions of this package; the decorator of a function states other ones.
KINDS = OPTION_KINDS | {
    "alpha": Number(least=0),
    "beta": Number(least=0),
    "delta": Number(0, 1),
    "smooth": Number(least=0),
    "smooth_numerator": Maybe(Number(least=0)),
    "penalty_gamma": Number(above=0),
    "exponent": Number(above=0),
    "squared": Flag(),
    "dice_weight": Number(0, 1),
    "tversky_weight": Number(0, 1),
    "weight": Number(0, 1),
    "window": Maybe(Integer(least=1)),
    "sigma": Number(least=0.01, unit="voxels"),
    "c1": Number(above=0),
    "c2": Number(above=0),
}
REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none")
# Kinds of the arguments of `keras.losses.Loss`.
KERAS_KINDS = {"name": Maybe(Text()), "reduction": Maybe(Choice(*REDUCTIONS))}
SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Reference", "Example")


def register(thing: Registered) -> Registered:
    """Decorator of a class or function: Keras finds it when a saved model is loaded."""
    return keras.saving.register_keras_serializable("keras_uq")(thing)


def loss_function(**kinds: Kind) -> Callable[[Registered], Registered]:
    """Decorator of a loss function: register it with Keras, list all options, and check the arguments.

    Args:
        **kinds: Kinds of arguments that are not those of `KINDS`, by name.
    """

    def decorate(function):
        signature = full_signature(function)

        @functools.wraps(function)
        def checked(*args, **kwargs):
            arguments = bind(function.__name__, signature, args, kwargs, checked.kinds)
            arrays = {name: arguments[name] for name in OF_A_BATCH if name != "mask" or arguments[name] is not None}
            check_numbers(function.__name__, **arrays)
            return function(*args, **kwargs)

        checked.__signature__ = signature
        checked.__doc__ = _docstring([function.__doc__], signature)
        checked.kinds = {name: kind for name, kind in (KINDS | kinds).items() if name in signature.parameters}
        return register(checked)

    return decorate


def full_signature(function):
    """The signature of a loss function, with the options of every loss in place of `**options`."""
    named = [
        parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not Parameter.VAR_KEYWORD
    ]
    present = {parameter.name for parameter in named}
    return inspect.Signature([*named, *[option for option in OPTIONS if option.name not in present]])


def class_signature(cls, keras_arguments):
    """The signature of a loss class: arguments of its function, of its `__init__`, and of `keras.losses.Loss`.

    Args:
        cls: The class. An annotation in its body replaces the type of the function's argument of that name.
        keras_arguments: Parameters of `keras.losses.Loss`.
    """
    types = inspect.get_annotations(cls)
    parameters = [
        parameter.replace(annotation=types.get(name, parameter.annotation))
        for name, parameter in full_signature(cls.function).parameters.items()
        if name not in OF_A_BATCH
    ]
    present = {parameter.name for parameter in (*parameters, *keras_arguments)}
    added = [
        parameter
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY and name not in present
    ]
    specific = [parameter for parameter in parameters if parameter.kind is not Parameter.KEYWORD_ONLY]
    options = [parameter for parameter in parameters if parameter.kind is Parameter.KEYWORD_ONLY]
    return inspect.Signature([*specific, *added, *options, *keras_arguments])


def class_docstring(cls, base):
    """The docstring of a loss class: what its function computes, then what the class adds, then every argument."""
    docstring = _docstring([cls.function.__doc__, cls.__doc__, base.__doc__], cls.__signature__)
    # A class returns no loss when it is called with its arguments.
    return docstring and re.sub(r"\n\nReturns:\n.*?(?=\n\n|\Z)", "", docstring, flags=re.DOTALL)


def bind(caller, signature, args, kwargs, kinds):
    """All arguments by name, with defaults, each as it was given.

    Args:
        caller: Name of the loss, for error messages.
        signature: Its `inspect.Signature`.
        args: Arguments by position.
        kwargs: Arguments by name.
        kinds: Kinds of the arguments by name. Tensors pass, since their values may not be known yet.

    Raises:
        TypeError: For an unknown, missing or repeated argument, or too many by position.
        ValueError: For a value that is not among those of a `Literal`, or not of its kind.
    """
    names = list(signature.parameters)
    by_position = [
        name for name, parameter in signature.parameters.items() if parameter.kind is Parameter.POSITIONAL_OR_KEYWORD
    ]
    for name in kwargs:
        if name not in names:
            similar = difflib.get_close_matches(name, names, n=1)
            suggestion = f" Did you mean {similar[0]!r}?" if similar else ""
            raise TypeError(f"{caller} has no argument {name!r}.{suggestion} Arguments: {', '.join(names)}.")
    if len(args) > len(by_position):
        raise TypeError(
            f"{caller} takes at most {len(by_position)} arguments by position ({', '.join(by_position)}). "
            f"Received: {len(args)}. Pass the others by name, as in `{names[len(by_position)]}=...`."
        )
    given = by_position[: len(args)]
    for name, parameter in signature.parameters.items():
        if name in given and name in kwargs:
            raise TypeError(f"{caller} received the argument {name!r} twice: by position and by name.")
        if parameter.default is Parameter.empty and name not in given and name not in kwargs:
            raise TypeError(f"{caller} needs the argument {name!r}. Arguments: {', '.join(names)}.")
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    for name, value in bound.arguments.items():
        annotation = signature.parameters[name].annotation
        choices = get_args(annotation) if get_origin(annotation) is Literal else ()
        if choices and not (isinstance(value, str) and value in choices):
            expected = " or ".join(f'"{choice}"' for choice in choices)
            raise ValueError(f"{caller} expects `{name}` to be {expected}. Received: {name}={shown(value)}.")
        if name in kinds and not is_tensor(value):
            # An array of one number, without axes, is a number.
            argument(
                caller, name, value.item() if isinstance(value, np.ndarray) and not value.ndim else value, kinds[name]
            )
    return dict(bound.arguments)


def is_tensor(value):
    """Whether a value is a tensor or a variable of Keras, which may have no value yet."""
    return keras.ops.is_tensor(value) or isinstance(value, (keras.Variable, keras.KerasTensor))


def _docstring(docstrings, signature):
    """One docstring from several, with an entry for each parameter of `signature`.

    Introductions follow each other, as do sections, but for the base class (the last of three), which only explains
    arguments. Where two explain one argument, the more special one (class before function before `Pair`) is taken.
    """
    if docstrings[0] is None:
        return docstrings[0] if len(docstrings) == 1 else docstrings[1]
    parsed = [_sections(docstring) for docstring in docstrings[:2] if docstring]
    explained = {}
    for docstring in (*docstrings[2:], Pair.__doc__, *docstrings[:2]):
        explained |= _entries(_sections(docstring or "").get("Args", ""))
    merged = {}
    for sections in parsed:
        for title, text in sections.items():
            merged.setdefault(title, []).append(text)
    merged["Args"] = ["\n".join(f"{name}: {explained[name]}" for name in signature.parameters if name in explained)]
    blocks = ["\n\n".join(merged[""])]
    for title in SECTIONS:
        if title in merged:
            blocks.append(f"{title}:\n" + textwrap.indent("\n".join(merged[title]), "    "))
    return "\n\n".join(blocks)


def _sections(docstring):
    """The text of each section of a docstring by title, the introduction under `""`."""
    introduction, *rest = re.split(rf"^({'|'.join(SECTIONS)}):\n", inspect.cleandoc(docstring), flags=re.MULTILINE)
    return {"": introduction.strip()} | {
        title: textwrap.dedent(text).strip() for title, text in zip(rest[::2], rest[1::2])
    }


def _entries(text):
    """The explanation of each argument, by name, from the text of an `Args` section."""
    _, *rest = re.split(r"^(\**\w+): ", text, flags=re.MULTILINE)
    return {name: explanation.rstrip() for name, explanation in zip(rest[::2], rest[1::2])}
