"""Names in a study file that its tables and its report must be able to use: wrong ones would show after training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from c6seg.config import format_size, parse_size
from c6seg.errors import ConfigError, did_you_mean
from c6seg.studies.grid import tested_on
from c6seg.studies.info import CURVE_COLUMNS
from c6seg.studies.published import published
from c6seg.studies.scores import FIXED, is_name
from c6seg.studies.spec import TESTED_ON, TRAINED, StudySpec
from c6seg.studies.summary import INPUT_SIZE

RESERVED = {*FIXED, TESTED_ON, *CURVE_COLUMNS} - {"learning_rate"}
"""Names of columns that no factor may have."""


def check_names(spec: StudySpec, *, where: str) -> None:
    """Refuse factors and values that cannot be names in the table of scores, and what the report would not find.

    Parameters
    ----------
    where
        Name of the file, for the message.

    Raises
    ------
    ConfigError
        A factor is called like a column, or a name is empty or has spaces around it; or ``report`` names an unknown
        factor, value or table: the nearest one is offered.
    """
    try:
        _check_factors(spec)
        _check_report(spec)
    except ConfigError as error:
        raise ConfigError(f"In '{where}': {error}") from error


def _check_factors(spec: StudySpec) -> None:
    for factor, levels in spec.factors.items():
        if factor in RESERVED:
            raise ConfigError(
                f"a factor may not be called '{factor}', as the table of scores or of curves has such a column: call "
                "it otherwise and name its values, such as factors: {size: {small: {input_size: 256x256}}}."
            )
        for text in (factor, *levels):
            if not is_name(text):
                raise ConfigError(
                    f"{text!r} in factor {factor!r} cannot be a name: it must be a text of one line without spaces "
                    "around it."
                )


def _check_report(spec: StudySpec) -> None:
    told = spec.report
    values = {factor: list(levels) for factor, levels in spec.factors.items()}
    tested = tested_on(spec)
    if len(tested) > 1:
        values[TESTED_ON] = tested
    sized = {**values, INPUT_SIZE: _input_sizes(spec)}
    _check([told.columns] if told.columns else [], sized, "factor in report.columns")
    _check(told.compare, sized, "factor in report.compare")
    _check(told.against, sized, "factor in report.against")
    _check(told.labels, values, "factor in report.labels")
    for factor, value in told.against.items():
        known = sized[factor]
        if known:
            _check([value], known, f"value of {factor} in report.against")
    for factor, words in told.labels.items():
        _check(words, values[factor], f"value of {factor} in report.labels")
    if told.size_factor:
        _check_size_factor(spec, told.size_factor)
    if told.published:
        _check([told.published], published(), "table in report.published")


def _check(given: Iterable[str], known: Mapping[str, object] | Sequence[str], what: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(did_you_mean(name, known, what=what))


def _check_size_factor(spec: StudySpec, factor: str) -> None:
    _check([factor], spec.factors, "factor in report.size_factor")
    for value in spec.factors[factor]:
        if not value.isdecimal():
            raise ConfigError(
                f"report.size_factor: value '{value}' of {factor} is no number of training images, such as 15."
            )


def _input_sizes(spec: StudySpec) -> list[str]:
    """Input sizes as the table of scores has them; none where they depend on the training."""
    given = [size for test in spec.tests for size in test.input]
    return [] if TRAINED in given else [format_size(parse_size(size)) for size in given]
