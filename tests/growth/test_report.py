from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from c6seg.config import GrowthConfig
from c6seg.errors import OutputError
from c6seg.growth.curves import GrowthFit, fit_series
from c6seg.growth.figures import Truth
from c6seg.growth.measure import Measurement
from c6seg.growth.methods import Methods, describe_methods
from c6seg.growth.report import safe_name, spread, write_report
from c6seg.growth.series import Series, group_series
from c6seg.growth.tables import FIT_COLUMNS, GROWTH_COLUMNS, write_fits, write_growth

CONFIG = GrowthConfig(bootstrap=200)
HOURS = range(0, 48, 6)


@pytest.fixture(scope="module")
def culture() -> tuple[list[Series], list[GrowthFit]]:
    rng = np.random.default_rng(0)
    rows = [
        Measurement(f"{well}_{hour}h", confluence=0.1 * float(np.exp(rate * hour + 0.02 * rng.standard_normal())))
        for well, rate in (("A1", 0.03), ("A2", 0.0))
        for hour in HOURS
    ]
    series = group_series(rows)
    return series, [fit_series(one, CONFIG) for one in series]


def write(out: Path, culture: tuple[list[Series], list[GrowthFit]], **more: object) -> str:
    options: dict[str, object] = {
        "title": "Two <wells> & more",
        "overlays": {},
        "methods": describe_methods(CONFIG, manifest={"model": {"name": "m1", "version": "2", "sha256": "ab" * 32}}),
        **more,
    }
    path = write_report(out, series=culture[0], fits=culture[1], **options)  # type: ignore[arg-type]
    return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Collects tags and what they refer to, and checks that they close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_tables_have_the_promised_columns_and_empty_unknowns(
    tmp_path: Path, culture: tuple[list[Series], list[GrowthFit]]
) -> None:
    write_growth(tmp_path / "growth.csv", culture[0])
    write_fits(tmp_path / "fits.csv", *culture)
    with (tmp_path / "growth.csv").open(newline="") as file:
        growth = list(csv.DictReader(file))
    with (tmp_path / "fits.csv").open(newline="") as file:
        grown, still = list(csv.DictReader(file))
    assert tuple(growth[0]) == GROWTH_COLUMNS
    assert len(growth) == 2 * len(HOURS)
    assert [float(row["time_h"]) for row in growth[: len(HOURS)]] == list(HOURS)
    assert tuple(grown) == FIT_COLUMNS
    assert float(grown["lower"]) < float(grown["doubling_time_h"]) < float(grown["upper"])
    assert (still["doubling_time_h"], still["growth_rate_per_h"], still["model"], still["lower"]) == ("",) * 4
    assert still["verdict"].startswith("No number")


def test_report_needs_nothing_else(tmp_path: Path, culture: tuple[list[Series], list[GrowthFit]]) -> None:
    overlay = tmp_path / "o.jpg"
    Image.fromarray(np.full((90, 120, 3), 90, np.uint8)).save(overlay)
    pictures = {"A1": [(float(hour), overlay) for hour in HOURS], "A2": [(0.0, tmp_path / "gone.jpg")]}
    text = write(tmp_path, culture, overlays=pictures)
    page = Page()
    page.feed(text)
    assert page.open == []
    sources = [attrs["src"] or "" for tag, attrs in page.found if tag == "img"]
    assert all(source.startswith("data:image/") for source in sources)
    assert sum(source.startswith("data:image/jpeg") for source in sources) == 8 + 3
    assert all(attrs.get("alt") for tag, attrs in page.found if tag == "img")
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.found}
    assert all((attrs.get("href") or "#").startswith("#") for _, attrs in page.found)
    assert not re.search(r"url\(|@import", text)
    assert any(attrs.get("name") == "viewport" for tag, attrs in page.found if tag == "meta")


def test_report_shows_numbers_verdicts_and_methods(
    tmp_path: Path, culture: tuple[list[Series], list[GrowthFit]]
) -> None:
    text = write(tmp_path, culture)
    assert "Two &lt;wells&gt; &amp; more" in text
    for fit in culture[1]:
        assert fit.verdict in text
    assert "ab" * 32 in text
    assert "model m1 2" in text
    assert "Simulated" not in text
    for name in ("growth", "doubling_times", "series_A1", "series_A2"):
        with Image.open(tmp_path / "figures" / f"{name}.png") as image:
            assert image.width > 600
        assert (tmp_path / "figures" / f"{name}.svg").read_text().lstrip().startswith("<?xml")


def test_report_sets_the_truth_beside(tmp_path: Path, culture: tuple[list[Series], list[GrowthFit]]) -> None:
    time_h = np.array([0.0, 42.0])
    truth = {"A1": Truth(23.1, time_h, time_h / 100, 0.912), "A2": Truth(None, time_h, time_h * 0 + 0.1)}
    text = write(tmp_path, culture, truth=truth)
    assert "doubles every 23.1 h" in text
    assert "Dice 0.912" in text
    assert "does not grow" in text


def test_many_series_and_strange_names(tmp_path: Path, culture: tuple[list[Series], list[GrowthFit]]) -> None:
    series = [group_series([Measurement(f"../p {k} µ_{hour}h", confluence=0.2) for hour in HOURS])[0] for k in range(9)]
    fits = [fit_series(one, CONFIG) for one in series]
    text = write(tmp_path, (series, fits))
    assert "none carries a doubling time" in text
    assert not (tmp_path / "figures" / "doubling_times.png").exists()
    assert all("/" not in path.name and ".." not in path.name for path in (tmp_path / "figures").iterdir())


def test_report_that_cannot_be_written_says_so(tmp_path: Path, culture: tuple[list[Series], list[GrowthFit]]) -> None:
    (tmp_path / "figures").write_text("in the way")
    with pytest.raises(OutputError, match="in the way"):
        write(tmp_path, culture)


def test_spread_keeps_first_and_last() -> None:
    times = [time for time, _ in spread([(float(t**2), Path()) for t in range(20)], 5)]
    assert (times[0], times[-1]) == (0.0, 361.0)
    assert times == sorted(set(times))
    assert safe_name("a/b: c") == "a_b__c"


def test_methods_without_a_manifest_claim_no_model() -> None:
    methods = describe_methods(CONFIG)
    assert isinstance(methods, Methods)
    assert "U-Net" not in " ".join(methods.paragraphs)
    assert "200 refits" in methods.paragraphs[1]


def test_methods_name_the_threshold_that_was_used() -> None:
    manifest = {"model": {"name": "m1"}, "threshold": 0.435, "options": {"threshold": None}}
    assert "at a threshold of 0.435." in describe_methods(CONFIG, manifest=manifest).paragraphs[0]
