"""The report of a study: tables, sentences and figures in a folder, whole or partial; same scores, same bytes."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from c6seg.errors import DataError
from c6seg.runtime import make_folder, write_text
from c6seg.studies import figures
from c6seg.studies.choice import choice_words
from c6seg.studies.info import StudyInfo
from c6seg.studies.published import FIGURE_3, FIGURE_3_WORDS
from c6seg.studies.scores import ScoreRow, write_scores
from c6seg.studies.sentences import claimed, comparison_table, headline, partial_words, sentences, untested
from c6seg.studies.summary import Arm, Judged, judge, summarise
from c6seg.studies.tables import Table, compact_tables, long_table, to_csv, to_latex, to_markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment
    from matplotlib.figure import Figure

METHODS = (
    "Scores are Dice scores of equation (2), computed from the counts of pixels of each test image at each pair of "
    "sizes (R, R2): the network sees the image at R, its answer and the truth are compared at R2. Means are those of "
    "equation (3): over the test images of all divisions, each with its own trained model.",
    "Intervals (95 %) take a score as the sum of a mean, an effect of the division (its training), an effect of the "
    "image and a rest, with the variances found by Henderson's third method; the variance of the divisions is enlarged "
    "for the training images that two divisions have in common (as by Nadeau and Bengio 2003), and the degrees of "
    "freedom are Satterthwaite's. They speak of the same procedure on other images of the same kind.",
    "Two configurations are compared by the differences of their scores on the same test image of the same division, "
    "with the same model of variances; p-values are corrected by Holm's method for the number of comparisons over the "
    "same images. A difference is claimed where the corrected p is below 0.05.",
)
ONE_PRETRAINING = (
    "Each pre-training was done once and serves all divisions: what is said of it holds for this one pre-trained "
    "network."
)
PRETRAINING_METHODS = (
    "Each pre-training ({names}) was done once for an encoder, with one seed, and all divisions start from it. How "
    "well it happened to turn out is common to them, and is in no interval and no p-value: means and differences are "
    "for this one pre-trained network, and not for its recipe."
)
MOST_SENTENCES = 60
"""So many sentences stand in the report; all comparisons stand in ``tables/comparisons.csv``."""

PX_PER_INCH = 120
"""Of figures on a page, at most."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure in the report: name of its files, what it shows, caption, PNG as a data address, width on a page."""

    name: str
    words: str
    caption: str
    address: str
    width_px: int


@dataclass(frozen=True, slots=True)
class Findings:
    """Sentences over all images (no ``group``) or over one group: differences that are claimed, and the others."""

    group: str
    claims: tuple[str, ...]
    others: tuple[str, ...]


def write_study_report(rows: Iterable[ScoreRow], info: StudyInfo, out: Path) -> Path:
    """Write ``report.html``, ``report.md``, ``scores.csv``, ``tables/`` and ``figures/`` into a folder.

    The bytes depend on the rows, on ``info`` and on the versions of the libraries only: not on the order of the rows,
    nor on the time.

    Parameters
    ----------
    rows
        What there is so far; none is allowed.
    info
        The plan, and the words around the numbers.
    out
        Folder; what another report left there is replaced, files of other names stay.

    Returns
    -------
    Path
        ``report.html``.

    Raises
    ------
    UsageError
        Two rows are about the same thing, or there is no such published table.
    OutputError
        The folder cannot be written.
    """
    ordered = list(rows)
    make_folder(out)
    write_scores(out / "scores.csv", ordered)
    arms = summarise(ordered, info)
    judged = judge(arms, info)
    tables = _tables(arms, judged, info)
    _write_tables(out / "tables", tables)
    shown, notes = _write_figures(out / "figures", arms, info)
    shown_tables = [table for table in tables if table.name != "comparisons"]
    findings = _findings(judged, arms, info)
    parts = {
        "info": info,
        "headline": headline(judged, arms, info),
        "partial": partial_words(arms, info),
        "findings": findings,
        "choice": choice_words(arms, info),
        "left_out": max(0, sum(one.comparison.difference.p is not None for one in judged) - MOST_SENTENCES),
        "figures": shown,
        "notes": [*info.notes, *([ONE_PRETRAINING] if info.pretrainings else []), *notes],
        "methods": [*METHODS, _overlap_words(info), *_pretraining_words(info)],
    }
    markdown = _templates().get_template("study.md.j2").render(tables=list(map(to_markdown, shown_tables)), **parts)
    write_text(out / "report.md", markdown)
    report = out / "report.html"
    write_text(report, _templates().get_template("study.html.j2").render(tables=shown_tables, **parts))
    return report


def _tables(arms: Sequence[Arm], judged: Sequence[Judged], info: StudyInfo) -> list[Table]:
    tables = [*compact_tables(arms, info), long_table(arms, info)] if arms else []
    return [*tables, comparison_table(judged, arms, info)] if judged else tables


def _write_tables(folder: Path, tables: Sequence[Table]) -> None:
    _clear(make_folder(folder), (".md", ".csv", ".tex"))
    for table in tables:
        write_text(folder / f"{table.name}.md", to_markdown(table))
        write_text(folder / f"{table.name}.csv", to_csv(table))
        write_text(folder / f"{table.name}.tex", to_latex(table))


def _write_figures(folder: Path, arms: Sequence[Arm], info: StudyInfo) -> tuple[list[Shown], list[str]]:
    """Draw what there is material for; a picture that cannot be read costs its figure, and is told."""
    from c6seg.growth.reporting.figures import save

    _clear(make_folder(folder), (".png", ".svg", ".pdf"))
    shown, notes = [], []
    for name, draw, words, caption in _drawings(arms, info):
        try:
            figure = draw()
        except DataError as error:
            notes.append(f"The figure '{name}' could not be drawn: {error}")
            continue
        if figure is None:
            continue
        save(figure, folder / name)
        png = base64.b64encode((folder / f"{name}.png").read_bytes()).decode()
        width_px = round(PX_PER_INCH * figure.get_figwidth())
        shown.append(Shown(name, words, caption, f"data:image/png;base64,{png}", width_px))
    return shown, notes


def _drawings(arms: Sequence[Arm], info: StudyInfo) -> Iterator[tuple[str, Callable[[], Figure | None], str, str]]:
    """Yield the name of each figure, what draws it, what it shows, and its caption."""
    if info.size_factor:
        yield (
            "training_images",
            partial(figures.size_figure, arms, info),
            "DiceLoss against the number of training images",
            "DiceLoss^AV (1 less the mean Dice) against the number of training images, with 95 % intervals."
            + (f" {FIGURE_3_WORDS}" if info.published == FIGURE_3 else ""),
        )
    if info.epochs:
        yield (
            "epochs",
            partial(figures.epoch_figure, info.epochs, info),
            "DiceLoss on validation images against the epoch",
            "DiceLoss on the validation images against the epoch, logarithmic: thin lines are runs, thick ones their "
            "mean up to the last epoch that all of them reached.",
        )
    if info.crop is not None:
        yield (
            "random_crop",
            partial(figures.crop_figure, info.crop),
            "Fragments of an image that are brought to one size",
            "Random resized crop: a fragment whose side is a part of the image's side, cut at a random place and "
            f"brought to one size. {info.crop.caption}".strip(),
        )
    if info.clusters:
        captions = " ".join(dict.fromkeys(one.caption for one in info.clusters if one.caption))
        yield (
            "clusters",
            partial(figures.cluster_figure, info.clusters),
            "Dense clusters, and the masks that networks of different starts give them",
            f"Dense clusters: the image, and what networks of different starts mark (outlined). {captions}".strip(),
        )


def _findings(judged: Sequence[Judged], arms: Sequence[Arm], info: StudyInfo) -> list[Findings]:
    """Return the sentences of the report, those over all images first; where some are cut, claims stay."""
    told = list(zip(judged, sentences(judged, arms, info), strict=True))
    tested = [pair for pair in told if pair[0].comparison.difference.p is not None]
    kept = sorted(tested, key=lambda pair: (bool(pair[0].first.group), not claimed(pair[0])))[:MOST_SENTENCES]
    found = []
    for group in dict.fromkeys(one.first.group for one in judged):
        mine = [(one, text) for one, text in kept if one.first.group == group]
        claims = tuple(text for one, text in mine if claimed(one))
        others = [text for one, text in mine if not claimed(one)]
        others += untested([(one, text) for one, text in told if one.first.group == group])
        found.append(Findings(group, claims, tuple(others)))
    return found


def _overlap_words(info: StudyInfo) -> str:
    if info.overlap >= 1 and not info.overlaps:
        return "All divisions have one training set: the intervals are for this training set and not for others."
    text = "Part of its images that a training set shares with that of another division: "
    parts = [f"{share:.2f} for {', '.join(info.phrase(*pair) for pair in key)}" for key, share in info.overlaps.items()]
    return f"{text}{'; '.join(parts) or f'{info.overlap:.2f}'}."


def _pretraining_words(info: StudyInfo) -> list[str]:
    names = ", ".join(info.pretrainings)
    return [PRETRAINING_METHODS.format(names=names)] if names else []


def _clear(folder: Path, endings: Sequence[str]) -> None:
    """Remove the files of an earlier report, of which there may have been more."""
    for path in sorted(folder.iterdir()):
        if path.suffix in endings and path.is_file():
            path.unlink()


@cache
def _templates() -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        # the style sheet is that of the growth report
        loader=ChoiceLoader([PackageLoader("c6seg.studies"), PackageLoader("c6seg.growth.reporting")]),
        autoescape=lambda name: bool(name and name.endswith(".html.j2")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
