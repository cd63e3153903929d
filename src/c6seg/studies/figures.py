"""The paper's figures 3 to 6 from the results of a study, in colours that the colour-blind can tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from c6seg.growth.reporting.figures import COLOURS, INK, SOFT, blank_figure, cut, styled
from c6seg.studies.info import ClusterPicture, CropPicture, StudyInfo
from c6seg.studies.scores import Configuration, Sizes, natural
from c6seg.studies.summary import Arm, varying
from c6seg.studies.tables import size_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vPX"
DASHES: Sequence[Any] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
OF_RUN = ("split", "state", "validated_on")
"""What stands as a text beside the epochs of a run and is no factor."""

PANELS, LINES = 6, 14
"""At most so many panels, and lines in each; what is beyond them stands in the tables."""


@styled
def size_figure(arms: Sequence[Arm], info: StudyInfo) -> Figure | None:
    """Draw figure 3: DiceLoss^AV against the number of training images, with 95 % intervals.

    One panel for each pair of sizes, one line for each combination of the other factors; None where no combination
    has scores at two numbers of images.
    """
    factor = info.size_factor
    lines: dict[Sizes, dict[str, list[tuple[float, Arm]]]] = {}
    others = [name for name in varying(arms) if name != factor]
    for arm in arms:
        count = _number(arm.configuration.get(factor, ""))
        if arm.group or not arm.scores or count is None:
            continue
        line = ", ".join(info.label(name, arm.configuration[name]) for name in others if name in arm.configuration)
        lines.setdefault(arm.sizes, {}).setdefault(line, []).append((count, arm))
    lines = {sizes: found for sizes, found in lines.items() if any(len(points) > 1 for points in found.values())}
    if not lines:
        return None
    figure, panels = _panels(min(PANELS, len(lines)), width_in=4.6, height_in=3.4)
    for axes, (sizes, found) in zip(panels, lines.items(), strict=False):
        counts = sorted({count for points in found.values() for count, _ in points})
        step = 0.012 * (counts[-1] - counts[0] or 1)
        for number, (words, points) in enumerate(list(found.items())[:LINES]):
            shift = step * (number - (min(len(found), LINES) - 1) / 2)
            _loss_line(axes, sorted(points, key=lambda point: point[0]), shift, number, words)
        axes.set(xlabel="training images", ylabel="DiceLoss^AV", title=f"at {size_words(sizes)}")
        axes.set_xticks(counts, [f"{count:g}" for count in counts])
        _legend(axes, len(found))
    return figure


def _loss_line(axes: Axes, points: Sequence[tuple[float, Arm]], shift: float, number: int, words: str) -> None:
    place = np.array([count + shift for count, _ in points])
    found = [arm.estimate for _, arm in points]
    loss = np.array([1 - one.mean for one in found])
    below = [0.0 if one.high is None else one.high - one.mean for one in found]
    above = [0.0 if one.low is None else one.mean - one.low for one in found]
    axes.errorbar(place, loss, (below, above), label=words or None, capsize=2.5, elinewidth=1.1, **_look(number))


@styled
def epoch_figure(epochs: Sequence[Mapping[str, Any]], info: StudyInfo) -> Figure | None:
    """Draw figure 4: DiceLoss on the validation images against the epoch, on a logarithmic scale.

    Lines are the values of ``init``, else of the first factor that varies; the other factors make panels. Thin lines
    are runs, thick ones their mean up to the last epoch that all of them reached, so that runs that stopped early
    leave no step. None where no epoch has a Dice score.
    """
    from matplotlib.ticker import MaxNLocator

    several = [name for name in _factors(epochs, info) if len({line.get(name) for line in epochs}) > 1]
    of_lines = "init" if "init" in several else several[0] if several else ""
    panels: dict[Configuration, dict[str, dict[str, list[tuple[int, float]]]]] = {}
    for line in epochs:
        score = line.get("val_dice")
        if score is None or not math.isfinite(float(score)):
            continue
        panel = tuple((name, str(line[name])) for name in several if name != of_lines and name in line)
        value = str(line.get(of_lines, ""))
        run = panels.setdefault(panel, {}).setdefault(value, {}).setdefault(str(line["split"]), [])
        run.append((int(line["epoch"]), 1 - float(score)))
    if not panels:
        return None
    titles = {panel: ", ".join(info.phrase(name, value) for name, value in panel) for panel in panels}
    order = [one[of_lines] for one in info.configurations if of_lines in one]
    every = {value for found in panels.values() for value in found}
    rank = sorted(every, key=lambda value: (order.index(value) if value in order else len(order), natural(value)))
    figure, places = _panels(min(PANELS, len(panels)), width_in=4.6, height_in=3.4)
    for axes, panel in zip(places, sorted(panels, key=lambda panel: (natural(titles[panel]), panel)), strict=False):
        title, found = titles[panel], panels[panel]
        values = sorted(found, key=rank.index)
        for value in values[:LINES]:  # a value looks alike in all panels
            words = info.label(of_lines, value) if of_lines else "all runs"
            _learning_curve(axes, list(found[value].values()), rank.index(value), words)
        axes.set(xlabel="epoch", yscale="log", title=cut(title, 48))
        if axes is places[0]:
            axes.set_ylabel("DiceLoss on validation images")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _plain_losses(axes)
        _legend(axes, len(values))
    return figure


def _factors(epochs: Sequence[Mapping[str, Any]], info: StudyInfo) -> list[str]:
    """Names of the factors of a study; where it has no test, of what stands as a text beside the epochs."""
    planned = [name for one in info.configurations for name in one]
    beside = [name for line in epochs for name, value in line.items() if isinstance(value, str) and name not in OF_RUN]
    return list(dict.fromkeys(planned or beside))


def _learning_curve(axes: Axes, runs: Sequence[Sequence[tuple[int, float]]], number: int, words: str) -> None:
    colour = COLOURS[number % len(COLOURS)]
    for run in runs:
        ordered = np.array(sorted(run))
        axes.plot(ordered[:, 0], ordered[:, 1], color=colour, lw=0.6, alpha=0.35)
    shared = sorted(set.intersection(*({epoch for epoch, _ in run} for run in runs)))
    losses = [dict(run) for run in runs]
    mean = [math.fsum(loss[epoch] for loss in losses) / len(losses) for epoch in shared]
    label = f"{words} ({len(runs)} run{'s' * (len(runs) != 1)})"
    axes.plot(shared, mean, color=colour, lw=2.2, ls=DASHES[number % len(DASHES)], label=label)


def _plain_losses(axes: Axes) -> None:
    """Write losses as numbers and not as powers of ten, with a tick at 1, 2 and 5."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


@styled
def crop_figure(picture: CropPicture) -> Figure:
    """Draw figure 5: where a random resized crop may lie on a picture, and three fragments as the network sees them.

    The frames are the smallest, the middle and the largest fragment, each with a side that is that part of the image's
    side; brought to one size, objects grow as the fragment shrinks.

    Raises
    ------
    DataError
        The picture cannot be read.
    """
    from matplotlib.patches import Rectangle

    from c6seg.data.images import read_image

    grey = _grey(read_image(picture.image).pixels)
    height, width = grey.shape
    smallest, largest = picture.sides
    sides = (smallest, (smallest + largest) / 2, largest)
    figure = blank_figure(8.6, 8.6 * height / width + 0.5)
    whole, *parts = figure.subplots(2, 2).ravel()
    whole.imshow(grey, cmap="gray", vmin=0, vmax=255)
    whole.set_title(f"fragments of {100 * smallest:.0f} to {100 * largest:.0f} % of the side", fontsize=10)
    # three corners, so that no frame covers another
    corners = ((0.06, 0.08), (0.94, 0.5), (0.5, 0.94))
    for part, side, (x, y), number in zip(parts, sides, corners, range(3), strict=True):
        size = max(1, round(height * side)), max(1, round(width * side))
        top, left = round((height - size[0]) * y), round((width - size[1]) * x)
        look: Any = {"edgecolor": COLOURS[number], "linewidth": 2.4, "linestyle": DASHES[number]}
        for frame in ({"edgecolor": "white", "linewidth": 4.2}, look):
            whole.add_patch(Rectangle((left, top), size[1] - 1, size[0] - 1, fill=False, **frame))
        part.imshow(grey[top : top + size[0], left : left + size[1]], cmap="gray", vmin=0, vmax=255, aspect="auto")
        part.set_box_aspect(height / width)
        part.set_title(f"{100 * side:.0f} % of the side, brought to {picture.size}", fontsize=10, color=COLOURS[number])
        part.spines[:].set(visible=True, **look)
    for axes in (whole, *parts):
        _bare(axes)
    return figure


@styled
def cluster_figure(pictures: Sequence[ClusterPicture]) -> Figure | None:
    """Draw figure 6: pictures with dense clusters, and on each the mask of every start.

    Raises
    ------
    DataError
        A picture or mask cannot be read, or they differ in size.
    """
    from c6seg.data.annotations import MaskFile
    from c6seg.data.images import read_image
    from c6seg.inference.overlay import overlay

    if not pictures:
        return None
    labels = list(dict.fromkeys(label for picture in pictures for label in picture.masks))
    figure = blank_figure(2.9 * (1 + len(labels)), 2.35 * len(pictures) + 0.2)
    panels = figure.subplots(len(pictures), 1 + len(labels), squeeze=False)
    for row, picture in zip(panels, pictures, strict=True):
        pixels = read_image(picture.image).pixels
        row[0].imshow(_grey(pixels), cmap="gray", vmin=0, vmax=255)
        for axes, label in zip(row[1:], labels, strict=True):
            if label in picture.masks:
                mask = MaskFile(picture.masks[label]).mask((pixels.shape[0], pixels.shape[1]))
                axes.imshow(overlay(pixels, mask, max_side_px=1000))
                share = f"{100 * float(mask.mean()):.1f} % marked"
                axes.set_xlabel(share, fontsize=8, color=SOFT)
        for axes in row:
            _bare(axes)
            axes.spines[:].set_visible(False)
    for axes, label in zip(panels[0], ("image", *labels), strict=True):
        axes.set_title(cut(label, 34), fontsize=10)
    return figure


def _panels(number: int, *, width_in: float, height_in: float) -> tuple[Figure, Sequence[Axes]]:
    columns = min(number, 2)
    rows = math.ceil(number / columns)
    figure = blank_figure(width_in * columns, height_in * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for spare in axes[number:]:
        spare.set_visible(False)
    return figure, list(axes[:number])


def _look(number: int) -> dict[str, Any]:
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKERS[number % len(MARKERS)],
        "ls": DASHES[number % len(DASHES)],
        "lw": 1.8,
        "markersize": 5.5,
    }


def _legend(axes: Axes, lines: int) -> None:
    axes.title.set(fontsize=10, color=INK)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=8, handlelength=2.6)
    if lines > LINES:
        axes.annotate(
            f"{lines - LINES} more in the tables", (0.99, 0.01), xycoords="axes fraction", ha="right", fontsize=8
        )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _grey(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Contrast-stretched grey, uint8."""
    from c6seg.transforms.preprocess import contrast_limits, raise_contrast, to_grey

    grey = to_grey(pixels)
    return np.round(255 * raise_contrast(grey, contrast_limits(grey, (0.5, 99.5)))).astype(np.uint8)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
