"""Kinds of values: what an argument, an option of a command or a JSON field may be, and how an error says so.

One kind serves three doors: `argument` for Python calls, `option` for argparse, and `keras_uq.files.check` for JSON.
`str(kind)` completes "expected ...", such as `expected a whole number of at least 1`.
"""

import argparse
import math
import numbers
import re
import reprlib
from collections.abc import Callable, Sequence
from typing import Any


class Mismatch(ValueError):
    """A value that is not of its kind."""


class Kind:
    """A kind of values. `read` returns a value in its plain Python type, or raises `Mismatch`."""

    def read(self, value: Any) -> Any:
        """Return the value. Raises `Mismatch` if it is of another kind."""
        raise NotImplementedError

    def parse(self, text: str) -> Any:
        """Return the value that a command line gives as text. Raises `Mismatch` if it is of another kind."""
        return self.read(text)


class Number(Kind):
    """A finite real number of a range; `above` and `below` exclude their ends, `least` and `most` include them."""

    def __init__(
        self,
        least: float | None = None,
        most: float | None = None,
        above: float | None = None,
        below: float | None = None,
        unit: str = "",
    ) -> None:
        self.least, self.most, self.above, self.below = least, most, above, below
        self.unit = unit and f" {unit}"

    noun = "a number"
    unlimited = "a finite number"

    def __str__(self):
        low, high = (self.above if self.least is None else self.least), (self.below if self.most is None else self.most)
        if low is None and high is None:
            return self.unlimited + self.unit
        if low is not None and high is not None:
            opening, closing = "[" if self.least is not None else "(", "]" if self.most is not None else ")"
            return f"{self.noun} in {opening}{_bound(low)}, {_bound(high)}{closing}{self.unit}"
        bounds = {"of at least": self.least, "above": self.above, "of at most": self.most, "below": self.below}
        word, bound = next((word, bound) for word, bound in bounds.items() if bound is not None)
        return f"{self.noun} {word} {_bound(bound)}{self.unit}"

    def read(self, value):
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise Mismatch
        return self._within(value)

    def _within(self, value):
        try:
            number = float(value)
        except (OverflowError, ValueError):
            raise Mismatch from None
        inside = math.isfinite(number)
        inside = inside and (self.least is None or number >= self.least) and (self.most is None or number <= self.most)
        inside = inside and (self.above is None or number > self.above) and (self.below is None or number < self.below)
        if not inside:
            raise Mismatch
        return number

    def parse(self, text):
        try:
            return self.read(float(text))
        except ValueError:
            raise Mismatch from None


def _bound(value):
    return str(value) if isinstance(value, int) else f"{value:g}"


class Integer(Number):
    """A whole number of a range."""

    noun = "a whole number"
    unlimited = "a whole number"

    def read(self, value):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise Mismatch
        self._within(value)
        return int(value)

    def parse(self, text):
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
            raise Mismatch
        return self.read(int(text))


class Flag(Kind):
    """`True` or `False`."""

    def __str__(self):
        return "true or false"

    def read(self, value):
        if not isinstance(value, bool):
            raise Mismatch
        return value


class Text(Kind):
    """Text, of at most `most` characters, that matches `pattern` where one is given (`described` says what it is)."""

    def __init__(self, most: int = 10_000, pattern: str | None = None, described: str = "text") -> None:
        self.most, self.pattern, self.described = most, pattern, described

    def __str__(self):
        return self.described

    def read(self, value):
        if not isinstance(value, str) or len(value) > self.most:
            raise Mismatch
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            raise Mismatch
        return value


class Choice(Kind):
    """One of a few values."""

    def __init__(self, *choices: Any) -> None:
        self.choices = choices

    def __str__(self):
        return " or ".join(f'"{choice}"' if isinstance(choice, str) else repr(choice) for choice in self.choices)

    def read(self, value):
        for choice in self.choices:
            if type(value) is type(choice) and value == choice:
                return choice
        raise Mismatch


class Items(Kind):
    """A list or a NumPy array of values of one kind, `count` of them, or from `least` to `most`. Read as a tuple."""

    def __init__(self, kind: Kind, count: int | None = None, least: int = 0, most: int | None = None) -> None:
        self.kind, self.count, self.least, self.most = kind, count, least, most

    def __str__(self):
        number = "a list"
        if self.count is not None:
            number = f"{self.count} values"
        elif self.most is not None:
            number = f"a list of {self.least} to {self.most} values"
        elif self.least:
            number = f"a list of {self.least} or more values"
        return f"{number}, each {self.kind}"

    def read(self, value):
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise Mismatch
        self._check_length(value)
        return tuple(map(self.kind.read, value))

    def parse(self, text):
        values = text.split(",")
        self._check_length(values)
        return tuple(map(self.kind.parse, values))

    def _check_length(self, values):
        if self.count is not None and len(values) != self.count:
            raise Mismatch
        if len(values) < self.least or (self.most is not None and len(values) > self.most):
            raise Mismatch


class Maybe(Kind):
    """A kind, or `None`."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def __str__(self):
        return f"{self.kind}, or None"

    def read(self, value):
        return None if value is None else self.kind.read(value)

    def parse(self, text):
        return self.kind.parse(text)


class Either(Kind):
    """A value of one of a few kinds; read as the first that it is of."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds = kinds

    def __str__(self):
        return ", or ".join(map(str, self.kinds))

    def read(self, value):
        for kind in self.kinds:
            try:
                return kind.read(value)
            except Mismatch:
                continue
        raise Mismatch


class Mapping(Kind):
    """A dictionary from text to values of one kind."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def __str__(self):
        return "a dictionary" if isinstance(self.kind, Anything) else f"a dictionary of which each value is {self.kind}"

    def read(self, value):
        if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
            raise Mismatch
        return {name: self.kind.read(entry) for name, entry in value.items()}


class Anything(Kind):
    """Any value, for what is passed on unread."""

    def __str__(self):
        return "any value"

    def read(self, value):
        return value


def argument(caller: str, name: str, value: Any, kind: Kind) -> Any:
    """Return an argument of a Python call in its plain type.

    Raises:
        ValueError: If it is of another kind; the message names caller, argument, what was expected and received.
    """
    try:
        return kind.read(value)
    except Mismatch:
        raise ValueError(f"{caller} expects `{name}` to be {kind}. Received: {name}={shown(value)}.") from None


def option(kind: Kind) -> Callable[[str], Any]:
    """Return the `type` of an argparse option. Its error says what was expected and received."""

    def parse(text):
        try:
            return kind.parse(text)
        except Mismatch:
            raise argparse.ArgumentTypeError(f"expected {kind}, not {shown(text)}") from None

    return parse


def shown(value: Any) -> str:
    """Return a value as it stands in an error message: on one line, at most about 100 characters."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 100
    text = short.repr(value)
    return re.sub(r"\s+", " ", text) if len(text) < 200 else re.sub(r"\s+", " ", text[:97]) + "..."
