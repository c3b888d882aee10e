"""The table of a run for a terminal of 80 columns."""

from rich import box
from rich.table import Table

from experiments.pages import columns
from experiments.screen import as_text


def table(run):
    """A `rich.table.Table`."""
    caption = columns.caption(run).replace("Square brackets", "±")
    shown = Table(
        title=as_text(run.title, "table.title"),
        caption=as_text(caption, "table.caption"),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
    )
    shown.add_column("row", no_wrap=True)
    headline = columns.headline(run)
    for column in headline:
        shown.add_column(as_text(column.head), justify="right", no_wrap=True, style="dim" if column.printed else None)
    for number, line in enumerate(run.table.to_dict("records")):
        flag = f"\n{line['flag']}" if line["flag"] else ""
        texts = [line["row"].removesuffix(" Loss") + flag, *[column.texts[number] for column in headline]]
        shown.add_row(*map(as_text, texts))
    return shown
