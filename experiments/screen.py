"""What commands print. Names of files, cases and rows are data: nothing in them is markup or moves the cursor."""

from rich.console import Console
from rich.text import Text

CONSOLE = Console()
FAILURE = "red"
WARNING = "yellow"


def say(text, style=None):
    """Print text as it is, on lines as long as it has."""
    CONSOLE.print(as_text(text), style=style, soft_wrap=True)


def heading(text):
    """Print a line across the screen with text in it."""
    CONSOLE.rule(as_text(text))


def as_text(text, style=""):
    """A `rich.text.Text` of data: without markup, control characters shown as escapes."""
    return Text("".join(map(_visible, text)), style)


def _visible(letter):
    if letter in "\n\t" or letter.isprintable():
        return letter
    return letter.encode("unicode_escape").decode()
