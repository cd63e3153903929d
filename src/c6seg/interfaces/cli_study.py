"""``c6seg study``: the paper's experiments and your own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from c6seg.interfaces.cli_base import (
    HELP_NAMES,
    SOME_FAILED,
    WRONG_USE,
    Interrupted,
    progress_bar,
    quiet,
    say,
    warn,
)

if TYPE_CHECKING:
    from c6seg.studies.forecast import Forecast
    from c6seg.studies.jobs import Job
    from c6seg.studies.plan import Plan
    from c6seg.studies.reporting import Report
    from c6seg.studies.runner import Outcome
    from c6seg.studies.spec import StudySpec

app = typer.Typer(
    help="Run many trainings that differ in a few factors, and say what makes a difference.",
    no_args_is_help=True,
    context_settings=HELP_NAMES,
)

Study = Annotated[str, typer.Argument(metavar="NAME_OR_FILE", help="Study of `c6seg study list`, or a YAML file.")]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="Folder that holds the study's data sets, or NAME=PATH for one of them; repeatable.",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the study, e.g. splits.repeats=5; repeatable."),
]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="Only this value of a factor, or split=split00; repeatable."),
]
OnlyFactors = Annotated[
    list[str] | None, typer.Option("--only", metavar="KEY=VALUE", help="Only this value of a factor; repeatable.")
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of all runs; studies share it.")]
OUT = Path("studies")


@app.command("list", epilog="Example:  c6seg study list")
def list_() -> None:
    """List the studies that come with c6seg: the paper's experiments."""
    from c6seg import api

    studies = api.list_studies()
    width = max(len(study.name) for study in studies)
    for study in studies:
        typer.echo(f"{study.name:<{width}}  {study.title}")


@app.command("show", epilog="Example:  c6seg study show scale_matched --data LIVECELL --data GLIOMA")
def show(study: Study, data: Data = None, set_: Set = None) -> None:
    """Show what a study asks and is made of; with --data also the fragment size that matches source and target."""
    from c6seg import api

    specs = api.read_study(study, overrides=set_ or [])
    _describe(specs[-1])
    if data:
        with progress_bar("Measuring") as progress:
            found = api.match_study(study, data=data, overrides=set_ or [], progress=progress)
        typer.echo("\nObject sizes:" if found is not None else "\nNo pre-training, so there is no scale to match.")
        for sentence in found.sentences() if found is not None else ():
            typer.echo(f"  {sentence}")


@app.command("plan", epilog="Example:  c6seg study plan paper --data DATA")
def plan(
    study: Study,
    data: Data = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder of the runs: what is done there is told.")
    ] = None,
    only: Only = None,
    set_: Set = None,
    probe: Annotated[bool, typer.Option("--probe/--no-probe", help="Forecast time and memory; probes shortly.")] = True,
    all_: Annotated[bool, typer.Option("--all", help="One line for every run, with its key.")] = False,
) -> None:
    """List the runs of a study, what depends on what, and what they will cost on this machine. Nothing is trained.

    Data that are not there yet are listed, and the plan assumes as many images as the study expects.
    """
    from c6seg import api

    tell = (lambda text: None) if quiet() else warn
    found, jobs, forecast = api.forecast_study(
        study, data=data or [], out=out, overrides=set_ or [], only=only or [], measure=probe, tell=tell
    )
    _show_plan(found, jobs, forecast, every=all_)


@app.command("run", epilog="Example:  c6seg study run initialisation --data DATA --out studies")
def run(
    study: Study,
    data: Data = None,
    out: Out = OUT,
    only: Only = None,
    set_: Set = None,
    retry: Annotated[bool, typer.Option("--retry", help="Do runs again that failed.")] = False,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out trainings whose first weights are not on this machine.")
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Do the runs on a Ray cluster; auto = that of this machine."),
    ] = None,
    cpus: Annotated[float, typer.Option(metavar="N", help="Processors of the cluster for each run.")] = 1,
    gpus: Annotated[float, typer.Option(metavar="N", help="Graphics cards of the cluster for each run.")] = 0,
) -> None:
    """Do the runs of a study, each once, and write its report; the same command again goes on where it was stopped.

    Runs that failed are listed, also with -q, and kept with their reason. Exit code: 0 all runs are done, 1 some
    failed, 2 none is done.
    """
    from c6seg import api

    with progress_bar("Runs") as progress:
        outcome, reports = api.run_study(
            study,
            out,
            data=data or [],
            overrides=set_ or [],
            only=only or [],
            retry=retry,
            skip_missing=skip_missing,
            ray=ray,
            cpus=cpus,
            gpus=gpus,
            progress=progress or _lines(),
        )
    _show_outcome(outcome, reports)


@app.command("report", epilog="Example:  c6seg study report initialisation --out studies")
def report(study: Study, out: Out = OUT, set_: Set = None) -> None:
    """Write the tables, sentences and figures of a study from the runs that are done so far."""
    from c6seg import api

    _show_reports(api.report_study(study, out, overrides=set_ or []))


@app.command("recipe", epilog="Example:  c6seg study recipe initialisation --out studies --to best.yaml")
def recipe(
    study: Study,
    out: Out = OUT,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there; else it is printed.")] = None,
    only: OnlyFactors = None,
    set_: Set = None,
) -> None:
    """Give the recipe of the configuration that the validation images choose, for `c6seg train --recipe`.

    Test images have no part in the choice.
    """
    from c6seg import api
    from c6seg.runtime import write_text

    text = api.study_recipe(study, out, only=only or [], overrides=set_ or [])
    if to is None:
        typer.echo(text, nl=False)
    else:
        write_text(to, text)
        say(str(to))


def _describe(spec: StudySpec) -> None:
    typer.echo(f"{spec.name}: {spec.title}\n{spec.about}")
    if spec.include:
        typer.echo(f"Includes: {', '.join(spec.include)}")
    for name, data in spec.data.items():
        where = data.path or "simulated"
        typer.echo(f"Data {name}: {where}{data.about and f' ({data.about})'}")
    for name, stage in spec.stages.items():
        options = ", ".join(f"{key}={value}" for key, value in stage.options.items())
        typer.echo(
            f"Pre-training {name}: on {stage.data} from {stage.init}, recipe {stage.recipe}{options and f', {options}'}"
        )
    for factor, levels in spec.factors.items():
        typer.echo(f"Factor {factor}: {'; '.join(levels)}")
    if spec.trains:
        s = spec.splits
        typer.echo(f"Divisions: {s.repeats} times {s.train} training, {s.val} validation, {s.test} test images")
    for test in spec.tests:
        where = test.data or "the data of the training"
        typer.echo(f"Test on {test.part} of {where}: input {', '.join(test.input)}; scored at {', '.join(test.score)}")


def _show_plan(plan: Plan, jobs: list[Job], forecast: Forecast, *, every: bool) -> None:
    """Write one line for each configuration with the number of its divisions, or for each run."""
    needed = {need for job in jobs for need in job.needs}
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.key if every else job.title.rsplit(", split", 1)[0], []).append(job)
    for members in groups.values():
        costs = [forecast.costs[job.key] for job in members]
        done = sum(cost.state == "done" for cost in costs)
        title = f"{members[0].key}  {members[0].title}" if every else members[0].title.rsplit(", split", 1)[0]
        count = "" if every else f"{len(members):>3} x  "
        seconds = [cost.seconds for cost in costs if cost.seconds is not None]
        memory = next((cost.memory_mb for cost in costs if cost.memory_mb is not None), None)
        facts = [
            f"done {done}" if done else "",
            f"{_duration(math.fsum(seconds) / max(1, len(seconds)))} each" if seconds and done < len(members) else "",
            f"{memory / 1000:.1f} GB" if memory is not None else "",
            f"after {'; '.join(sorted({plan.jobs[need].title for need in members[0].needs}))}"
            if members[0].needs
            else "",
            "others start from it" if members[0].key in needed else "",
            "weights missing" if any(job.key in plan.no_weights for job in members) else "",
        ]
        typer.echo(f"{count}{title}  [{'; '.join(fact for fact in facts if fact)}]")
    typer.echo(f"{len(jobs)} runs for {len(plan.points)} configurations and divisions")
    if forecast.device and forecast.seconds is not None:
        typer.echo(
            f"Left: about {_duration(forecast.seconds)} one after the other on this machine ({forecast.device}), "
            "from steps on a small input and for all epochs; memory is that of one step"
        )
    for missing in plan.missing(jobs):
        warn(f"not there: {missing}")


def _show_outcome(outcome: Outcome, reports: list[Report]) -> None:
    for record in outcome.failed:
        warn(f"{record.state}: {record.title}: {record.error}")
    for job in outcome.blocked:
        warn(f"not begun, as what it starts from failed: {job.title}")
    if outcome.interrupted:
        raise Interrupted(
            f"stopped by Ctrl-C; {outcome.before + outcome.done} of {outcome.total} runs are done in "
            f"'{outcome.out}'. The same command goes on."
        )
    say(f"{outcome.before + outcome.done} of {outcome.total} runs done, {outcome.before} of them before")
    _show_reports(reports)
    if not outcome.complete:
        raise typer.Exit(SOME_FAILED if outcome.before + outcome.done else WRONG_USE)


def _show_reports(reports: list[Report]) -> None:
    for each in reports:
        states = ", ".join(f"{count} {state}" for state, count in sorted(each.progress.states.items()))
        for path in each.files:
            say(f"{each.study}: {path}{states and f' ({states})'}")


def _lines() -> Any:
    """Give a function that writes what is being done, where there is no terminal to draw a bar on."""
    told: set[str] = set()

    def tell(done: float, total: int, text: str) -> None:
        if text and text not in told and not quiet():
            told.add(text)
            warn(f"[{done:.0f}/{total}] {text}")

    return tell


def _duration(seconds: float) -> str:
    """Write a time as people say it.

    Examples
    --------
    >>> _duration(40), _duration(5400), _duration(200000)
    ('40 s', '1.5 h', '2.3 days')
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"
