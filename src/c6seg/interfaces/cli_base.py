"""What all verbs share: options for messages, one line for an error, progress, exit codes.

Exit codes: 0 done, 1 some items failed (listed), 2 wrong use or bad input, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import typer

from c6seg.errors import C6segError

DONE, SOME_FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
HELP_NAMES: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


class Interrupted(Exception):
    """The user pressed Ctrl-C; the message says what was kept."""


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; every failure becomes one line on stderr."""
    set_verbosity(0)
    if "--out=" in arguments or any(one in {"--out", "-o"} and not two for one, two in pairwise(arguments)):
        # the parser would take it for the folder where one is
        return _report("--out is empty, such as a variable of the shell that is not set. Name a folder.", WRONG_USE)
    try:
        command = typer.main.get_command(app)
        _add_message_options(command)
        code = command.main(list(arguments), prog_name="c6seg", standalone_mode=False)
        if code == INTERRUPTED:  # the parser says nothing
            return _report("stopped by Ctrl-C", INTERRUPTED)
        return code if isinstance(code, int) else DONE
    except (KeyboardInterrupt, typer.Abort):
        return _report("stopped by Ctrl-C", INTERRUPTED)
    except SystemExit:  # the parser's end when nobody reads on, as in `c6seg ... | head`
        return DONE
    except Exception as error:  # noqa: BLE001 (the last resort of the program)
        debug = "--debug" in arguments
        if debug and not hasattr(error, "format_message"):
            traceback.print_exc(file=sys.stderr)
        return _explain(error, debug=debug)


def _explain(error: Exception, *, debug: bool) -> int:
    """Turn an exception into one line and an exit code."""
    if isinstance(error, Interrupted):
        return _report(str(error), INTERRUPTED)
    if isinstance(error, C6segError):
        return _report(_text(error), WRONG_USE)
    if hasattr(error, "format_message"):  # wrong use, found by the parser
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message())
            return WRONG_USE
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "c6seg"
        return _report(f"{error.format_message()} See: {path} --help", WRONG_USE)
    hint = "" if debug else " Run it again with --debug to see more."
    what = f"{type(error).__name__}: {error}".strip(": ")
    return _report(f"unexpected {what}. This is a fault of c6seg: please report it.{hint}", WRONG_USE)


def _text(error: Exception) -> str:
    """Message of an error; an OSError would put its number in front."""
    return str(error.strerror) if isinstance(error, OSError) and error.strerror else str(error)


def set_verbosity(verbosity: int) -> None:
    """-1 errors, 0 warnings, 1 progress messages, 2 everything."""
    from c6seg.runtime import setup_logging

    setup_logging(verbosity)
    _STATE["verbosity"] = verbosity


def quiet() -> bool:
    """Whether ``-q`` was given."""
    return _STATE["verbosity"] < 0


def say(text: str) -> None:
    """Write a line of the result on stdout, unless ``-q`` was given."""
    if not quiet():
        typer.echo(text)


def warn(text: str) -> None:
    """Write a line on stderr."""
    typer.echo(text, err=True)


@contextlib.contextmanager
def progress_bar(what: str) -> Iterator[Callable[[float, int, str], None] | None]:
    """Give a function (done, total, name) that shows progress with the time left; None where nobody looks at it."""
    if quiet() or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),  # it is drawn before the total is known
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[name]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, name="")

        def show(done: float, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, name=name)

        yield show


ENGINE: Any = typer.Option(
    metavar="NAME", help="What runs the network: auto, openvino, onnxruntime, torch; openvino:gpu picks a device."
)
"""The option of every verb that runs a network."""

_STATE = {"verbosity": 0}


def _report(message: str, code: int) -> int:
    warn("c6seg: " + " ".join(message.split()))
    return code


def _add_message_options(command: Any) -> None:
    """Give -v, -q and --debug to the program and to every verb, so that they may stand anywhere."""
    options = typer.Typer(add_completion=False)
    options.command()(_message_options)
    params = [p for p in typer.main.get_command(options).params if p.name in {"verbose", "quiet_", "debug"}]
    pending = [command]
    while pending:
        current = pending.pop()
        current.params.extend(params)
        for parameter in current.params:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""  # a flag takes no value; the help would show <bool>
        pending += list(getattr(current, "commands", {}).values())


def _verbose(value: int) -> None:
    if value:
        set_verbosity(value)


def _quiet(value: bool) -> None:
    if value:
        set_verbosity(-1)


def _message_options(
    verbose: int = typer.Option(
        0,
        "-v",
        "--verbose",
        count=True,
        callback=_verbose,
        expose_value=False,
        show_default=False,
        metavar="",
        help="Say more; -vv says all.",
    ),
    quiet_: bool = typer.Option(False, "-q", "--quiet", callback=_quiet, expose_value=False, help="Say errors only."),
    debug: bool = typer.Option(False, "--debug", expose_value=False, help="Show where an error came from."),
) -> None:
    """Carry the options; never runs."""
