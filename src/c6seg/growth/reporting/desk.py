"""Where a report is put together: cards, pictures and figures; what is finished already is not made again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from c6seg.growth.curves import GrowthFit
from c6seg.growth.reporting.cards import Card, digest, growth_card, wound_card
from c6seg.growth.reporting.figures import FORMATS, Truth, save, series_figure
from c6seg.growth.reporting.pictures import LARGE_PX, STRIP_PX, Darkroom, Key, Picture, Timed, address, key, spread
from c6seg.growth.reporting.whole_figures import PLACES, Drawing
from c6seg.growth.series import Series
from c6seg.growth.words import file_names
from c6seg.growth.wounds.results import WoundFit

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

# The PDF figures of more series have outlined letters.
EDITABLE_FIGURES = 24


@dataclass(slots=True)
class ReportCache:
    """Finished parts of a report, so that the next one makes only what has changed.

    Parameters
    ----------
    cards
        Anchor to the hash of what the card shows, and the card.
    pictures
        Small pictures by file, its time and size, and width.
    figures
        Name of a whole-plate figure to the hash of what it shows, and its SVG text.
    """

    cards: dict[str, tuple[str, FinishedCard]] = field(default_factory=dict)
    pictures: dict[Key, Picture | None] = field(default_factory=dict)
    figures: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FinishedCard:
    """A card and its text in the page."""

    card: Card
    body: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure inside the report: data address, and what it shows in words."""

    address: str
    words: str
    caption: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The pictures that a card shows, and what tells their state from another one."""

    strip: list[Timed]
    large: list[Timed]
    states: tuple[Key | None, ...]


class Desk:
    """Puts the parts of one report together.

    Parameters
    ----------
    folder
        For the figures.
    store
        What is finished; new parts are added, and those that the report does not show are taken out.
    darkroom
        For the pictures.
    amounts
        How many small and larger pictures a card shows.
    templates
        Of the report.
    """

    def __init__(
        self, folder: Path, store: ReportCache, darkroom: Darkroom, amounts: tuple[int, int], templates: Environment
    ) -> None:
        self.folder, self.store, self.darkroom = folder, store, darkroom
        self.amounts = amounts
        self.body = templates.get_template("card.html.j2")
        self.shown: set[str] = set()
        self.seen: set[Key | None] = set()

    def growth_cards(
        self,
        series: Sequence[Series],
        fits: Sequence[GrowthFit],
        overlays: Mapping[str, Sequence[Timed]],
        *,
        truths: Mapping[str, Truth],
        labels: Mapping[str, str],
        saturation: float,
    ) -> list[FinishedCard]:
        """Return the cards of the series, and write their figures."""
        chosen = self._choose(overlays.get(one.name, ()) for one in series)
        found = []
        names = file_names([one.name for one in series])
        for one, fit, name, pictures in zip(series, fits, names, chosen, strict=True):
            truth, label, anchor = truths.get(one.name), labels.get(one.name, ""), f"s-{name}"
            found.append(
                self._finished(
                    anchor,
                    digest(one, fit, truth, label, saturation, self.amounts, pictures.states),
                    partial(series_figure, one, fit, truth=truth, saturation=saturation),
                    self.folder / f"series_{name}",
                    partial(growth_card, one, fit, anchor=anchor, label=label, truth=truth, saturation=saturation),
                    pictures,
                    outlined=len(series) > EDITABLE_FIGURES,
                )
            )
        return found

    def wound_cards(
        self, wounds: Sequence[WoundFit], overlays: Mapping[str, Sequence[Timed]], *, labels: Mapping[str, str]
    ) -> list[FinishedCard]:
        """Return the cards of the wounds, and write their figures."""
        from c6seg.growth.wounds.figures import wound_figure

        chosen = self._choose(overlays.get(one.name, ()) for one in wounds)
        found = []
        for fit, name, pictures in zip(wounds, file_names([one.name for one in wounds]), chosen, strict=True):
            label, anchor = labels.get(fit.name, ""), f"w-{name}"
            found.append(
                self._finished(
                    anchor,
                    digest(fit, label, self.amounts, pictures.states),
                    partial(wound_figure, fit),
                    self.folder / f"wound_{name}",
                    partial(wound_card, fit, anchor=anchor, label=label),
                    pictures,
                    outlined=len(wounds) > EDITABLE_FIGURES,
                )
            )
        return found

    def whole_figures(self, drawings: Iterable[Drawing], mark: str, *, quick: bool) -> dict[str, list[Shown]]:
        """Write the figures that show all series, and return those that the report shows, by place.

        Parameters
        ----------
        drawings
            The figures.
        mark
            Hash of all that they show.
        quick
            Leave figures as they are that were drawn before, even if something has changed.
        """
        found: dict[str, list[Shown]] = {place: [] for place in PLACES}
        for drawing in drawings:
            text = self._drawn(drawing, mark, quick=quick)
            if text and drawing.place:
                shown = Shown(address(text.encode(), "svg+xml"), drawing.words, drawing.caption)
                found.setdefault(drawing.place, []).append(shown)
        return found

    def close(self) -> None:
        """Forget what the report does not show any more."""
        self.store.cards = {anchor: self.store.cards[anchor] for anchor in self.shown}
        self.store.pictures = {state: one for state, one in self.store.pictures.items() if state in self.seen}

    def _choose(self, pictures: Iterable[Sequence[Timed]]) -> list[Chosen]:
        found = []
        for one in pictures:
            strip, large = (spread(one, amount) for amount in self.amounts)
            states = [key(path, STRIP_PX) for _, path in strip] + [key(path, LARGE_PX) for _, path in large]
            self.seen.update(states)
            found.append(Chosen(strip, large, tuple(states)))
        return found

    def _finished(
        self,
        anchor: str,
        mark: str,
        draw: Callable[[], Figure],
        path: Path,
        make: Callable[..., Card],
        pictures: Chosen,
        *,
        outlined: bool,
    ) -> FinishedCard:
        self.shown.add(anchor)
        before = self.store.cards.get(anchor)
        if before is not None and before[0] == mark and _lies(path):
            return before[1]
        self.darkroom.order(pictures.strip, STRIP_PX)
        self.darkroom.order(pictures.large, LARGE_PX)
        save(draw(), path, outlined=outlined)
        strip = self.darkroom.fetch(pictures.strip, STRIP_PX)
        card = make(strip=strip, large=self.darkroom.fetch(pictures.large, LARGE_PX))
        done = FinishedCard(card, self.body.render(card=card, open=self.amounts[1] > 1))
        self.store.cards[anchor] = (mark, done)
        return done

    def _drawn(self, drawing: Drawing, mark: str, *, quick: bool) -> str:
        before, path = self.store.figures.get(drawing.name), self.folder / drawing.name
        if before is not None and (quick or before[0] == mark) and (not before[1] or _lies(path)):
            return before[1]
        figure = drawing.draw()
        text = save(figure, path) if figure is not None else ""
        self.store.figures[drawing.name] = (mark, text)
        return text


def _lies(path: Path) -> bool:
    """Whether a figure lies in its folder, in every format."""
    return all(path.with_name(path.name + suffix).is_file() for suffix in FORMATS)
