"""Tables as Markdown: that of a run, and the one of all runs in the README."""

from pathlib import Path

from experiments.pages import columns
from keras_uq.files import sweep, write_text

README_START, README_END = "<!-- measured -->", "<!-- /measured -->"


def table(run):
    """The Markdown of a run's table."""
    lines, parts = [f"**{_plain(run.title)}**", ""], columns.parts(run)
    first = [columns.rows(run), columns.seeds(run)]
    ours = columns.measured(run, run.study.ours)
    if len(parts) == 1:
        (measures,) = parts.values()
        lines += _lines([*first, *columns.published(run, measures), *ours, *columns.flags(run)])
    else:
        for title, measures in parts.items():
            shown = [*first, *columns.published(run, measures), *columns.flags(run)]
            lines += [f"*{title}*", "", *_lines(shown), ""]
        lines += ["*Beyond the paper*", "", *_lines([*first, *ours, *columns.flags(run)])]
    lines += ["", _plain(columns.caption(run))]
    if explained := columns.explained_flags(run):
        lines += ["", *explained]
    return "\n".join(lines) + "\n"


def _lines(shown):
    heads = [column.short or column.head for column in shown]
    texts = [[_cell(text) for text in column.texts] for column in shown]
    return [
        f"| {' | '.join(map(_cell, heads))} |",
        f"|{' --- |' * len(heads)}",
        *[f"| {' | '.join(line)} |" for line in zip(*texts)],
    ]


def _plain(text):
    """Text of which nothing is HTML."""
    return text.replace("<", "&lt;")


def _cell(text):
    """Text of one cell: on one line, with no end of a cell in it."""
    return _plain(text).replace("\n", " ").replace("|", "\\|")


def write_readme(runs, readme=Path("README.md")):
    """Put one table for each paper and dataset of real runs between the README's markers."""
    if not readme.exists() or README_START not in readme.read_text():
        return
    groups = {}
    for run in runs:
        if run["profile"] != "demo" and run.cells:
            groups.setdefault((run["paper"], run["dataset"], run["profile"]), []).append(run)
    sweep(readme.absolute().parent)
    text = readme.read_text()
    start = text.index(README_START) + len(README_START)
    tables = [_overview(name, group) for name, group in groups.items()]
    write_text(readme, text[:start] + "\n" + "\n".join(tables) + text[text.index(README_END) :])


def _overview(name, runs):
    """All tables of a paper on one dataset side by side."""
    paper, dataset, profile = name
    seeds, rows = {}, {}
    for run in runs:
        first = run.shown_measures[0]
        label = f"[{run['table']}]({run.folder.as_posix()}/table.md) {run['changes']}".strip()
        label += f" ({run.printed_on})" if run.printed_on else ""
        counts = sorted(set(run.table["seeds"]) - {0})
        seeds[label] = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
        for line in run.table.to_dict("records"):
            shown = run.study.overview.format(**line) if line["seeds"] else "not run"
            published = line[f"{first}_published"].partition(" ")[0]
            published = f"{published} → " if published else ""
            rows.setdefault(line["row"].removesuffix(" Loss"), {})[label] = published + shown
    lines = [
        f"**{paper}: the protocols of its tables on {dataset}, profile {profile}**",
        "",
        f"| loss | {' | '.join(map(_cell, seeds))} |",
        f"| --- |{' --- |' * len(seeds)}",
        *[
            f"| {' | '.join(map(_cell, (row, *(texts.get(label, '') for label in seeds))))} |"
            for row, texts in rows.items()
        ],
        f"| seeds | {' | '.join(map(str, seeds.values()))} |",
        "",
        runs[0].study.overview_note.format(dataset=dataset),
        "",
    ]
    return "\n".join(lines)
