"""Names of files and messages of other packages as text for a screen: one line, nothing that a terminal obeys."""

import re


def printable(text: str) -> str:
    """Return text in which characters that cannot be printed, such as line ends, are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(message: object, longest: int | None = 600) -> str:
    """Return a message on one line of at most `longest` characters."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(message))  # Keras writes in bold.
    text = printable(re.sub(r"\s*[\r\n\t]+\s*", " ", text.strip()))
    return text if longest is None or len(text) <= longest else f"{text[: longest - 3]}..."
