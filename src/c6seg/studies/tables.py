"""The tables of a study in Markdown, CSV and LaTeX; a combination without scores is an empty field."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from c6seg.evaluation.comparisons import Estimate
from c6seg.growth.words import safe_cell
from c6seg.studies.info import StudyInfo
from c6seg.studies.published import Published, find_published
from c6seg.studies.scores import Sizes
from c6seg.studies.summary import Arm, varying

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts.

    Parameters
    ----------
    name
        For files, such as ``dice``.
    title
        What it shows.
    header
        Titles of the columns.
    rows
        Fields of each row, as many as columns; empty = not known.
    texts
        Number of leading columns that hold words and not numbers.
    note
        Below the table.
    """

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    note: str = ""


def to_markdown(table: Table) -> str:
    """Write a table for GitHub and other readers of Markdown, its title above it."""
    marks = [":--" if number < table.texts else "--:" for number in range(len(table.header))]
    lines = [
        f"**{_markdown(table.title)}**\n",
        "| " + " | ".join(map(_markdown, table.header)) + " |",
        "|" + "|".join(marks) + "|",
        *("| " + " | ".join(map(_markdown, row)) + " |" for row in table.rows),
    ]
    if table.note:
        lines.append(f"\n{_markdown(table.note)}")
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """Write a table as CSV, without title; no field is taken for a formula by a spreadsheet program."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([[safe_cell(cell.replace(MINUS, "-")) for cell in row] for row in (table.header, *table.rows)])
    return text.getvalue()


def to_latex(table: Table) -> str:
    """Write a table as a LaTeX float that needs no package; everything in it is escaped."""
    columns = "l" * table.texts + "r" * (len(table.header) - table.texts)
    lines = [
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{escape_latex(' '.join(part for part in (table.title + '.', table.note) if part))}}}",
        f"\\label{{tab:{re.sub(r'[^a-z0-9]+', '-', table.name.lower()).strip('-')}}}",
        f"\\begin{{tabular}}{{{columns}}}",
        "\\hline",
        " & ".join(map(escape_latex, table.header)) + " \\\\",
        "\\hline",
        *(" & ".join(map(escape_latex, row)) + " \\\\" for row in table.rows),
        "\\hline",
        "\\end{tabular}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


LATEX = {
    "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", "$": "\\$", "#": "\\#", "_": "\\_", "{": "\\{", "}": "\\}",
    "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "$<$", ">": "$>$", "|": "$|$", "[": "{[}", "]": "{]}",
    MINUS: "$-$", "±": "$\\pm$", "×": "$\\times$", "→": "$\\to$", "µ": "$\\mu$", "–": "--",
}  # fmt: skip


def escape_latex(text: str) -> str:
    r"""Return a text that LaTeX sets as it stands.

    Examples
    --------
    >>> print(escape_latex("se_resnet50: 57 % {x}"))
    se\_resnet50: 57 \% \{x\}
    """
    return "".join(LATEX.get(letter, letter) for letter in text)


def score(value: float | None, digits: int = 3) -> str:
    """Write a score with three decimals as the paper does; nothing for what is not known."""
    if value is None or not math.isfinite(value):
        return ""
    return f"{value:.{digits}f}".replace("-", MINUS) if round(value, digits) else f"{0:.{digits}f}"


def with_interval(found: Estimate, digits: int = 3) -> str:
    """Write ``0.940 [0.931, 0.949]``; ``0.940 (images: 0.931 to 0.949)`` where it is for these networks alone."""
    if found.images_low is not None:
        return f"{score(found.mean, digits)} ({_over_images(found, digits)})"
    if found.low is None or found.high is None:
        return score(found.mean, digits)
    return f"{score(found.mean, digits)} [{score(found.low, digits)}, {score(found.high, digits)}]"


def _over_images(found: Estimate, digits: int) -> str:
    return f"images: {score(found.images_low, digits)} to {score(found.images_high, digits)}"


def size_words(sizes: Sizes) -> str:
    """Write a pair of sizes as the paper does: ``(R, R2)``."""
    return f"({sizes[0]}, {sizes[1]})" if any(sizes) else ""


NUMBERS = (
    "R", "R2", "DiceScore^AV", "95 % low", "95 % high", "spread", "divisions", "images", "scores", "of",
)  # fmt: skip


def long_table(arms: Sequence[Arm], info: StudyInfo) -> Table:
    """One row for each configuration, pair of sizes and group: everything that is known of its mean."""
    factors = list(dict.fromkeys(name for arm in arms for name in arm.configuration))
    groups, beside = any(arm.group for arm in arms), any(_published(arm, info) for arm in arms)
    header = (*factors, *(["group"] * groups), *NUMBERS, *(["paper", "label"] if beside else []), "remark")
    rows = []
    for arm in arms:
        words = [info.label(name, arm.configuration.get(name, "")) for name in factors]
        paper = _published(arm, info)
        told = [score(paper.dice) if paper else "", paper.reading if paper else ""] if beside else []
        rows.append((*words, *([arm.group or "all"] * groups), *_numbers(arm), *told, _remark(arm)))
    note = (
        "DiceScore^AV: mean over divisions and test images, equation (3); spread: standard deviation of the means of "
        "the divisions; intervals speak of other images of the same kind, see docs/explanation/study-statistics.md."
    )
    return Table("dice", "All means", header, tuple(rows), len(factors) + groups + 2, note)


def _numbers(arm: Arm) -> list[str]:
    one = arm.estimate
    scores = [score(value, 4) for value in (one.mean, one.low, one.high, one.spread)]
    many = (one.divisions, one.images, one.scores) if one.scores else ("", "", "")
    return [*arm.sizes, *scores, *map(str, many), str(arm.expected or "")]


def compact_tables(arms: Sequence[Arm], info: StudyInfo) -> list[Table]:
    """Tables as in the paper, one for all images and one for each group: means with intervals, the paper's beside them.

    The columns are the values of ``info.columns``, or the pairs of sizes; what does not vary is left out.
    """
    tables = []
    for group in dict.fromkeys(arm.group for arm in arms):
        mine = [arm for arm in arms if arm.group == group]
        name = f"compact-{group}" if group else "compact"
        tables.append(
            _compact(mine, info, name=name, title=f"DiceScore^AV, images of group {group}" if group else "DiceScore^AV")
        )
    return tables


def _compact(arms: Sequence[Arm], info: StudyInfo, *, name: str, title: str) -> Table:
    factors = varying(arms) or list(arms[0].configuration)[:1]
    by_factor = info.columns in factors
    several = by_factor and len({arm.sizes for arm in arms if any(arm.sizes)}) > 1
    left = [factor for factor in factors if factor != info.columns]
    fields: dict[tuple[str, ...], dict[str, Arm]] = {}
    for arm in arms:
        words = [info.label(factor, arm.configuration.get(factor, "")) for factor in left]
        place = (*words, *([size_words(arm.sizes)] * several))
        column = info.phrase(info.columns, arm.configuration.get(info.columns, "")) if by_factor else None
        fields.setdefault(place, {})[size_words(arm.sizes) if column is None else column] = arm
    columns = list(dict.fromkeys(column for row in fields.values() for column in row if column)) or [""]
    papers = {one for one in columns if any(_published(row[one], info) for row in fields.values() if one in row)}
    titles = (*left, *(["sizes (R, R2)"] * several))
    header = (*titles, *(text for one in columns for text in (one, *(["paper"] * (one in papers)))))
    rows = tuple(
        (*place, *(text for one in columns for text in _fields(row.get(one), info, beside=one in papers)))
        for place, row in fields.items()
    )
    return Table(name, title, header, rows, max(1, len(titles)), _compact_note(arms, info))


def _fields(arm: Arm | None, info: StudyInfo, *, beside: bool) -> list[str]:
    """Return the field of an arm, and the published figure beside it where its column has some."""
    if arm is None:
        return ["", ""] if beside else [""]
    text = with_interval(arm.estimate)
    if arm.partial and arm.scores:
        text += f" ({len(arm.scores)} of {arm.expected})"
    paper = _published(arm, info)
    return [text, *([f"{score(paper.dice)}{'*' if paper.reading else ''}" if paper else ""] if beside else [])]


def _compact_note(arms: Sequence[Arm], info: StudyInfo) -> str:
    without = list(dict.fromkeys(arm.estimate.reason for arm in arms if arm.scores and arm.estimate.reason))
    known = any(arm.estimate.low is not None for arm in arms)
    parts = ["Mean with its 95 % interval."] if known else ["Mean."] if without else []
    if without:
        parts.append(f"{'Some have no interval' if known else 'No interval'}: {' / '.join(without[:3])}.")
    if any(arm.estimate.images_low is not None for arm in arms):
        parts.append("'images': 95 % interval for these networks on other images; it says nothing of other trainings.")
    if any(arm.partial and arm.scores for arm in arms):
        parts.append("In round brackets: scores so far of those planned.")
    found = [paper for arm in arms if (paper := _published(arm, info))]
    if found:
        parts.append(f"'paper': published figures, {found[0].table}.")
    readings = dict.fromkeys(paper.reading for paper in found if paper.reading)
    parts += [f"* {reading}." for reading in readings]
    return " ".join(parts)


def _remark(arm: Arm) -> str:
    if not arm.scores:
        return "no score yet" if arm.expected else "no score"
    partial = f"partial: {len(arm.scores)} of {arm.expected} scores" if arm.partial else ""
    reason = f"no interval: {arm.estimate.reason}" if arm.estimate.reason else ""
    fixed = f"these networks, {_over_images(arm.estimate, 4)}" if arm.estimate.images_low is not None else ""
    return "; ".join(part for part in (partial, reason, fixed) if part)


def _published(arm: Arm, info: StudyInfo) -> Published | None:
    return find_published(info.published, arm.configuration, arm.sizes) if info.published and not arm.group else None


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_`~^])", r"\\\1", text).replace("<", "&lt;")
