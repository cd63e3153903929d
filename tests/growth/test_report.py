from __future__ import annotations

import csv
import itertools
import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from c6seg.config import GrowthConfig
from c6seg.errors import OutputError
from c6seg.growth.curves import GrowthFit, fit_series
from c6seg.growth.measure import Measurement
from c6seg.growth.report import ReportCache, safe_name, shared_notes, spread, write_report
from c6seg.growth.reporting.cards import digest
from c6seg.growth.reporting.figures import FORMATS, Truth
from c6seg.growth.reporting.methods import Methods, describe_methods
from c6seg.growth.reporting.tables import FIT_COLUMNS, GROWTH_COLUMNS, write_fits, write_growth
from c6seg.growth.series import Series, group_series
from c6seg.growth.timeline.interval import Calibration
from c6seg.runtime import write_text

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

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

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
        assert (tmp_path / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")


def test_report_sets_the_truth_beside(tmp_path: Path, culture: tuple[list[Series], list[GrowthFit]]) -> None:
    time_h = np.array([0.0, 42.0])
    truth = {"A1": Truth(23.1, time_h, time_h / 100, 0.912), "A2": Truth(None, time_h, time_h * 0 + 0.1)}
    text = write(tmp_path, culture, truth=truth)
    assert "doubles every 23.1 h" in text
    assert "Dice 0.912" in text
    assert "does not grow" in text


def test_many_series_and_strange_names(tmp_path: Path, culture: tuple[list[Series], list[GrowthFit]]) -> None:
    series = [group_series([Measurement(f"../p {k} µ_{hour}h", confluence=0.2) for hour in HOURS])[0] for k in range(8)]
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


# ---- what stands in the page


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write figures as files of one word, where the page and not the figures are looked at."""

    def save(figure: object, path: Path, *, outlined: bool = False) -> str:
        for suffix in FORMATS:
            write_text(path.with_name(path.name + suffix), "drawn")
        return "<svg/>"

    monkeypatch.setattr("c6seg.growth.reporting.desk.save", save)


def place_of(page: Page) -> list[str]:
    return [attrs["id"] or "" for _, attrs in page.found if attrs.get("id")]


def parsed(text: str) -> Page:
    page = Page()
    page.feed(text)
    assert page.open == []
    return page


@pytest.mark.usefixtures("light")
def test_page_holds_to_its_policy_and_its_outline(tmp_path: Path, examples: ModuleType) -> None:
    series, fits, plate = examples.plate(3, 6, times=6)
    text = write(tmp_path, (series, fits), plate=plate)
    page = parsed(text)
    policy = next(attrs["content"] for _, attrs in page.found if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.found}
    assert not [name for _, attrs in page.found for name in attrs if name.startswith("on")]
    assert all(attrs.get("alt") for tag, attrs in page.found if tag == "img")
    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") for tag, attrs in page.found if tag == "svg")
    assert all(attrs.get("scope") for tag, attrs in page.found if tag == "th")
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = place_of(page)
    assert len(ids) == len(set(ids))
    targets = [(attrs["href"] or "")[1:] for tag, attrs in page.found if tag == "a"]
    assert set(targets) <= set(ids)
    # every well with images leads to its card
    assert {f"s-{one.name}" for one in series} <= set(targets)


@pytest.mark.usefixtures("light")
def test_many_series_fold_up_and_few_lie_open(tmp_path: Path, examples: ModuleType) -> None:
    cache = ReportCache()

    def page(number: int) -> Page:
        series = [examples.series(f"B{index + 1}", times=4) for index in range(number)]
        return parsed(write(tmp_path, (series, [examples.still()] * number), cache=cache))

    few, many = page(12), page(13)
    tiles = [sum(attrs.get("class") == "tile" for _, attrs in one.found) for one in (few, many)]
    sparks = [sum(attrs.get("class") == "spark" for _, attrs in one.found) for one in (few, many)]
    cards = [sum(attrs.get("class") == "panel card" for _, attrs in one.found) for one in (few, many)]
    assert (tiles, sparks, cards) == ([0, 13], [0, 13], [12, 0])
    # the id lies inside the part that unfolds, so that a link to it opens it
    assert [tag for tag, attrs in many.found if (attrs.get("id") or "").startswith("s-")] == ["div"] * 13


@pytest.mark.usefixtures("light")
def test_card_tells_what_is_known_and_nothing_else(tmp_path: Path, examples: ModuleType) -> None:
    one = examples.with_excluded(examples.series("A1", times=20), 3, 4)
    fit = examples.growing(
        one, lag_h=9.0, lag_lower=6.0, lag_upper=12.0, plateau=0.8, plateau_lower=0.75, plateau_upper=0.85
    )
    bare = replace(
        examples.series("A2", times=20),
        cell_area_um2=None,
        cluster_fraction=None,
        object_count=None,
        notes=("odd times",),
    )
    text = write(tmp_path, ([one, bare], [fit, examples.still()]))
    known, unknown = text.split('<article class="panel card"')[1:3]
    facts = {
        "Lag": "9.0 h (6.0 to 12.0)",
        "Plateau": "80.0 % (75.0 to 85.0)",
        "Exponential phase": "0 to 28.5 h",
        "Excluded": "2 of 20 times, for their flags",
        "Flags": "out of focus (2 of 20), unlike training (1 of 20)",
    }
    for what, words in facts.items():
        assert f"<dt>{what}</dt><dd>{words}</dd>" in known
        assert f"<dt>{what}</dt>" not in unknown
    for what in ("Cell area per field", "In clusters", "Objects per field"):
        assert f"<dt>{what}</dt>" in known
        assert f"<dt>{what}</dt>" not in unknown
    assert "Next experiment:</b> Two more time points 12 h apart" in unknown
    assert "Next experiment" not in known
    assert "Odd times." in unknown
    assert "no growth seen" in unknown
    assert "between −0.00110 and 0.00220 per h" in unknown


@pytest.mark.usefixtures("light")
def test_intervals_are_called_by_their_confidence(tmp_path: Path, examples: ModuleType) -> None:
    one = examples.series("A1", times=5)
    text = write(tmp_path, ([one], [examples.growing(one)]), confidence=0.9)
    assert "90 % interval" in text.split("<tbody>")[0]
    assert "95 %" not in text.split("<tbody>")[0]


@pytest.mark.usefixtures("light")
def test_plate_says_its_notes_design_and_doses(tmp_path: Path, examples: ModuleType) -> None:
    series, fits, plate = examples.plate(4, 5, times=5)
    series, fits, cache = series[:3], fits[:3], ReportCache()
    text = write(tmp_path, (series, fits), plate=plate, cache=cache)
    for words in (*plate.notes, plate.design.text, *(one.verdict for one in plate.comparisons)):
        assert escape(words[1:]) in text
    for one in plate.doses:
        assert escape(one.verdict) in text
    names = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {"plate", "differences", "treatments", "dose_temozolomide", "growth", "doubling_times"} <= names
    assert {path.suffix for path in (tmp_path / "figures").glob("plate.*")} == {".png", ".svg", ".pdf"}
    assert "Treatments against control" in text
    bare = replace(plate, comparisons=(), doses=(), design=None, notes=())
    without = write(tmp_path, (series, fits), plate=bare, cache=cache, quick=True)
    assert "Groups of wells" in without
    assert "Hedges" not in without.split("<h2")[2]


@pytest.mark.usefixtures("light")
def test_wounds_have_cards_and_figures(tmp_path: Path, examples: ModuleType) -> None:
    one = examples.series("B2", times=5)
    wounds = [examples.wound("B2"), examples.open_wound("B3")]
    Image.fromarray(np.full((30, 40), 99, np.uint8)).save(tmp_path / "o.jpg")
    text = write(
        tmp_path, ([one], [examples.still()]), wounds=wounds, wound_pictures={"B2": [(0.0, tmp_path / "o.jpg")]}
    )
    page = parsed(text)
    assert {"w-B2", "w-B3", "s-B2"} <= set(place_of(page))
    assert "2 wounds; 1 with a closure rate (3.50 % of the gap per h)." in text
    assert "11.2 µm per h (9.9 to 12.6)" in text
    assert "14.3 h (13.1 to 15.6)" in text
    assert "does not close" in text
    assert text.count("data:image/jpeg") == 2
    assert (tmp_path / "figures" / "wound_B2.pdf").is_file()


def test_notes_that_many_series_share_are_said_once(examples: ModuleType) -> None:
    series = [examples.series(f"A{index}", times=4) for index in range(4)]
    series = [replace(one, notes=("two times are missing",)) for one in series[:3]] + series[3:]
    series[0] = replace(series[0], notes=("two times are missing", "a plate was moved"))
    assert shared_notes(series) == [
        "Two times are missing. (3 of 4 series)",
        "1 series has notes of its own, told with the curve.",
    ]


# ---- what is drawn again


def states(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in (folder / "figures").iterdir()}


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name.rpartition(".")[0] for name, state in after.items() if before.get(name) != state}


@pytest.mark.usefixtures("light")
def test_only_what_has_changed_is_drawn_again(tmp_path: Path, examples: ModuleType) -> None:
    series, fits, plate = examples.plate(2, 4, times=5)
    overlay = tmp_path / "o.jpg"
    Image.fromarray(np.full((30, 40), 60, np.uint8)).save(overlay)
    cache = ReportCache()
    options = {"plate": plate, "cache": cache, "overlays": {"A1": [(0.0, overlay)]}}
    first = write(tmp_path, (series, fits), **options)
    before = states(tmp_path)
    again = write(tmp_path, (series, fits), **options)
    assert states(tmp_path) == before
    assert re.sub("Made .*? with", "", again) == re.sub("Made .*? with", "", first)

    series[1] = replace(series[1], confluence=series[1].confluence * 1.01)
    quick = write(tmp_path, (series, fits), **options, quick=True)
    assert changed(before, states(tmp_path)) == {"series_A2"}
    assert quick.count("data:image/jpeg") == first.count("data:image/jpeg") == 2
    write(tmp_path, (series, fits), **options)
    assert changed(before, states(tmp_path)) == {"plate", "growth", "doubling_times", "series_A2"}

    before = states(tmp_path)
    (tmp_path / "figures" / "series_A3.png").unlink()
    Image.fromarray(np.full((31, 40), 200, np.uint8)).save(overlay)
    other = write(tmp_path, (series, fits), **options)
    assert changed(before, states(tmp_path)) == {"series_A1", "series_A3"}
    assert other != again

    write(tmp_path, (series[:2], fits[:2]), **{**options, "overlays": {}})
    assert set(cache.cards) == {"s-A1", "s-A2"}
    assert cache.pictures == {}


def test_hash_of_content() -> None:
    values = np.arange(3.0)
    same = digest(values, ("a", None), GrowthFit("v", "flat"))
    assert digest(values.copy(), ("a", None), GrowthFit("v", "flat")) == same
    others = [
        digest(values + 1e-12, ("a", None), GrowthFit("v", "flat")),
        digest(values, ("a", "None"), GrowthFit("v", "flat")),
        digest(values, ("a",), None, GrowthFit("v", "flat")),
        digest(values, ("a", None), GrowthFit("v", "few")),
        digest(values.astype(np.float32), ("a", None), GrowthFit("v", "flat")),
    ]
    assert len({same, *others}) == 6


def test_same_data_give_the_same_figures(tmp_path: Path, culture: tuple[list[Series], list[GrowthFit]]) -> None:
    write(tmp_path / "a", culture)
    write(tmp_path / "b", culture)
    for path in (tmp_path / "a" / "figures").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / "figures" / path.name).read_bytes(), path.name


# ---- methods


def test_methods_tell_of_plates_wounds_and_excluded_times(examples: ModuleType) -> None:
    series, _, plate = examples.plate(4, 6, times=5)
    one = examples.with_excluded(examples.series("A1", times=8), 1, 2)
    plain = " ".join(describe_methods(CONFIG, series=series).paragraphs)
    for words in ("excluded", "mixed model", "Holm", "gap", "error of the masks"):
        assert words not in plain
    whole = " ".join(
        describe_methods(
            CONFIG,
            series=[one],
            calibration=Calibration(0.03, 0.0, 23, "t98g"),
            mask_error=0.008,
            plate=plate,
            wounds=[examples.wound()],
        ).paragraphs
    )
    uncalibrated = " ".join(describe_methods(CONFIG, mask_error=0.008).paragraphs)
    assert "standard deviation 0.8 % confluence" in uncalibrated
    compared = sum(well.compared for well in plate.wells)
    for words in (
        "2 of 8 times of all series together were excluded by their quality flags (out of focus)",
        "standard deviation of 0.03 on the same scale as measured on 23 annotated images",
        "the error of the masks, as one shift of all times of a series",
        "Gompertz and Richards laws",
        f"growth rates of {compared} wells",
        "the well is the unit of replication",
        "linear mixed model",
        "Holm's method (level 0.05)",
        "Hedges' g",
        "four-parameter logistic",
        "followed in 1 series",
    ):
        assert words in whole, words
    assert "random effect of each treatment" not in whole
    two = " ".join(describe_methods(CONFIG, plate=replace(plate, plates=("a", "b"))).paragraphs)
    assert "a random effect of each treatment on each plate" in two
    no_control = " ".join(describe_methods(CONFIG, plate=replace(plate, comparisons=(), doses=())).paragraphs)
    assert "Holm" not in no_control
    assert "IC50" not in no_control


def test_excluded_times_are_grey_in_the_film_strip(tmp_path: Path, examples: ModuleType) -> None:
    one = examples.with_excluded(examples.series("A1", times=4), 1)
    pictures = []
    for number, hour in enumerate(one.time_h):
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(np.full((40, 60), 60 + 9 * number, np.uint8)).save(path)
        pictures.append((float(hour), path))
    text = write(tmp_path, ([one], [examples.growing(one)]), overlays={"A1": pictures})
    strip = text[text.index('class="strip"') : text.index('class="large"')]
    assert strip.count('<figure class="gone">') == 1
    assert "<figcaption>3 h, excluded</figcaption>" in strip
    assert ".gone img" in text


def test_methods_say_that_the_pixel_size_is_unknown(examples: ModuleType) -> None:
    manifest = {"model": {"name": "m1"}}
    one = examples.series("A1", times=4)
    assert "pixel size" not in describe_methods(CONFIG, manifest=manifest, series=[one]).paragraphs[0]
    blind = replace(one, flags=(("scale_unknown",),) * 4)
    assert (
        "The pixel size was unknown: the images"
        in describe_methods(CONFIG, manifest=manifest, series=[blind]).paragraphs[0]
    )
    some = replace(one, flags=(("scale_unknown",), (), (), ()))
    assert "unknown at 1 of 4 times" in describe_methods(CONFIG, manifest=manifest, series=[some]).paragraphs[0]
