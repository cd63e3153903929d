"""What a study says, in sentences that can be pasted: what is better, by how much, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from c6seg.evaluation.comparisons import Comparison
from c6seg.growth.words import counted, p_value
from c6seg.studies.info import StudyInfo
from c6seg.studies.summary import INPUT_SIZE, Arm, Judged, varying
from c6seg.studies.tables import Table, score

ALPHA = 0.05
OWN_WORDS = ("no", "nothing", "input", "scored", "at")
NONE_IN_COMMON = "they have no test image in common"
SAME_REASON = 6
"""So many comparisons without a test are told one by one."""


def claimed(one: Judged) -> bool:
    """Whether a difference may be claimed: p below 5 % after Holm's correction."""
    return one.comparison.p_holm is not None and one.comparison.p_holm < ALPHA


def sentence_of(one: Judged, info: StudyInfo, *, context: str, place: str = "") -> str:
    """Say what a comparison shows.

    Parameters
    ----------
    one
        The comparison.
    info
        The words for factors and values.
    context
        What both arms share and others of the study do not, such as ``MiT-B3``; empty = nothing.
    place
        Their sizes, such as ``at 704x512``; empty = those of the whole study.

    Examples
    --------
    "MiT-B3 from LIVECell beats ImageNet by 0.010 [0.004, 0.016] (p = 0.003 after Holm's correction for 6 comparisons;
    better on 27 of 30 images)." and "MiT-B3: no difference between LIVECell and ImageNet can be claimed: ...".
    """
    found = one.comparison.difference
    first, second = (_value(arm, one.factor, info) for arm in (one.first, one.second))
    shared = ", ".join(filter(None, (place, context)))
    where = f"{shared}: " if shared else ""
    if not found.scores:
        yet = "" if one.apart else " yet"
        return _capital(f"{where}{first} and {second} cannot be compared{yet}: {NONE_IN_COMMON}.")
    partial = _partial(one)
    if found.p is None:
        if found.mean == 0 and not found.spread and "equal" in found.reason:
            return _capital(f"{where}{first} and {second} do equally well on every image, to the last digit{partial}.")
        text = f"{where}nothing can be said of {first} and {second} yet: {found.reason}"
        return _capital(f"{text} (difference so far {_difference(one.comparison)}{partial}).")
    if not claimed(one):
        text = f"{where}no difference between {first} and {second} can be claimed: {_difference(one.comparison)}"
        return _capital(f"{text} ({_p(one.comparison)}{_why(one.comparison)}{partial}).")
    better, worse, images = first, second, one.comparison.better
    if found.mean < 0:
        better, worse, images = second, first, one.comparison.worse
    # "MiT-B3 from LIVECell", where what is shared goes well with it
    joined = f"{place}: " * bool(place) + f"{context} from " if one.factor == "init" and context else where
    beats = "beat" if better[:1].isdigit() and better.endswith("s") else "beats"
    text = f"{joined}{better} {beats} {worse} by {_difference(one.comparison, positive=True)}"
    return _capital(f"{text} ({_p(one.comparison)}; better on {images} of {counted(found.images, 'image')}{partial}).")


def sentences(judged: Sequence[Judged], arms: Sequence[Arm], info: StudyInfo) -> list[str]:
    """One sentence for each comparison, in their order."""
    return [sentence_of(one, info, context=context_of(one, arms, info), place=place_of(one, arms)) for one in judged]


def untested(told: Sequence[tuple[Judged, str]]) -> list[str]:
    """Return the sentences of comparisons without a test; many for the same reason become one.

    Parameters
    ----------
    told
        Comparisons with their sentences; those with a test are passed over.
    """
    reasons: dict[str, list[str]] = {}
    for one, text in told:
        if one.comparison.difference.p is None:
            found = one.comparison.difference
            reasons.setdefault(found.reason if found.scores else NONE_IN_COMMON, []).append(text)
    short = []
    for reason, texts in reasons.items():
        many = f"Nothing can be said of {len(texts)} comparisons: {reason}. tables/comparisons.csv has them."
        short += texts if len(texts) <= SAME_REASON else [many]
    return short


def context_of(one: Judged, arms: Sequence[Arm], info: StudyInfo) -> str:
    """Say which values two arms share where the study has others."""
    shared = dict(one.first.configuration.items() & one.second.configuration.items())
    return ", ".join(info.phrase(name, shared[name]) for name in varying(arms) if name in shared)


def place_of(one: Judged, arms: Sequence[Arm]) -> str:
    """Say at which sizes two arms are compared where the study has others."""
    sizes = {arm.sizes for arm in arms if arm.scores}
    given, scored = one.first.sizes
    several = len({pair[1] for pair in sizes}) > 1
    if len(sizes) < 2 or one.factor == INPUT_SIZE or given != one.second.sizes[0]:
        return f"scored at {scored}" if several else ""
    if not several:
        return f"input {given}"
    return f"at {given}" if given == scored else f"at {given} scored at {scored}"


def comparison_table(judged: Sequence[Judged], arms: Sequence[Arm], info: StudyInfo) -> Table:
    """One row for each comparison; differences are first less second, on the test images that both have."""
    header = (
        "images", "all else equal", "factor", "first", "second", "first less second", "95 % low", "95 % high",
        "p", "p (Holm)", "of", "divisions", "tested", "pairs", "claimed", "remark",
    )  # fmt: skip
    rows = []
    for one in judged:
        found = one.comparison.difference
        numbers = (score(found.mean, 4), score(found.low, 4), score(found.high, 4))
        probabilities = (_probability(found.p), _probability(one.comparison.p_holm), str(one.comparison.family or ""))
        unpaired = one.comparison.unpaired
        reason = found.reason if found.scores else NONE_IN_COMMON
        remark = "; ".join(
            part for part in (reason, f"{unpaired} scores without a counterpart" * bool(unpaired)) if part
        )
        rows.append(
            (
                one.first.group or "all",
                ", ".join(filter(None, (context_of(one, arms, info), place_of(one, arms)))),
                one.factor,
                *(_value(arm, one.factor, info) for arm in (one.first, one.second)),
                *numbers,
                *probabilities,
                *(str(number) for number in (found.divisions, found.images, found.scores)),
                "yes" if claimed(one) else "no",
                remark,
            )
        )
    note = (
        "Differences of the Dice of the same test image of the same division; intervals are not widened for the number "
        "of comparisons, p (Holm) is corrected for it; tested: different images."
    )
    return Table("comparisons", "Comparisons", header, tuple(rows), 5, note)


def headline(judged: Sequence[Judged], arms: Sequence[Arm], info: StudyInfo) -> str:
    """Say in two sentences how far the study is and how many differences can be claimed."""
    scores = sum(len(arm.scores) for arm in arms if not arm.group)
    if not scores:
        return "No score yet."
    filled = sum(bool(arm.scores) for arm in arms if not arm.group)
    total = sum(not arm.group for arm in arms)
    parts = [f"{counted(filled, 'mean')} from {counted(scores, 'score')}"]
    if filled < total:
        parts[0] += f"; {counted(total - filled, 'combination')} without any score yet"
    whole = [one for one in judged if not one.first.group and not one.apart]
    tested = sum(one.comparison.difference.p is not None for one in whole)
    sure = sum(map(claimed, whole))
    if whole and not tested:
        parts.append(f"{counted(len(whole), 'comparison')} cannot be tested yet")
    elif whole:
        verb = "shows" if sure <= 1 else "show"
        parts.append(f"Of {counted(tested, 'comparison')}, {sure or 'none'} {verb} a difference that can be claimed")
        if tested < len(whole):
            parts[-1] += f"; {len(whole) - tested} cannot be tested yet"
    return ". ".join(parts) + "."


def partial_words(arms: Sequence[Arm], info: StudyInfo) -> str:
    """Say what is missing of the study; empty where nothing is."""
    told = []
    if info.planned and info.done < info.planned:
        told.append(f"{info.done} of {counted(info.planned, 'run')} {'is' if info.done == 1 else 'are'} done")
    if info.failures:
        told.append(f"{counted(len(info.failures), 'run')} failed")
    whole = [arm for arm in arms if not arm.group]
    missing = sum(not arm.scores for arm in whole)
    if missing:
        told.append(f"{counted(missing, 'combination')} of {len(whole)} {'has' if missing == 1 else 'have'} no score")
    partial = sum(arm.partial and bool(arm.scores) for arm in whole)
    if partial:
        told.append(f"{counted(partial, 'mean')} {'is' if partial == 1 else 'are'} over fewer scores than planned")
    return f"This report is partial: {', '.join(told)}." if told else ""


def _difference(comparison: Comparison, *, positive: bool = False) -> str:
    found = comparison.difference
    sign = -1.0 if positive and found.mean < 0 else 1.0
    ends = sorted(sign * end for end in (found.low, found.high) if end is not None)
    numbers = [abs(value) for value in (found.mean, *ends)]
    digits = 3 if max(numbers) >= 0.002 else 4 if max(numbers) >= 0.0002 else 6
    text = score(sign * found.mean, digits)
    return f"{text} [{score(ends[0], digits)}, {score(ends[1], digits)}]" if ends else text


def _p(comparison: Comparison) -> str:
    value = p_value(comparison.p_holm)
    text = f"p {value}" if value.startswith("<") else f"p = {value}"
    if comparison.family < 2:
        return text
    return f"{text} after Holm's correction for {comparison.family} comparisons"


def _why(comparison: Comparison) -> str:
    """Say that it is the number of comparisons that takes a claim away."""
    p = comparison.difference.p
    return f", {p_value(p)} alone" if p is not None and p < ALPHA else ""


def _partial(one: Judged) -> str:
    expected = max(one.first.expected, one.second.expected)
    pairs = one.comparison.difference.scores
    return f"; so far {pairs} of {expected} pairs" if pairs < expected else ""


def _value(arm: Arm, factor: str, info: StudyInfo) -> str:
    if factor == INPUT_SIZE:
        return f"input {arm.sizes[0]}"
    return info.phrase(factor, arm.configuration[factor])


def _probability(p: float | None) -> str:
    return "" if p is None or not math.isfinite(p) else f"{p:.2g}"


def _capital(text: str) -> str:
    """Begin with a capital letter, unless that is the name of a value, which keeps its own."""
    return text[0].upper() + text[1:] if text.split(maxsplit=1)[0] in OWN_WORDS else text
