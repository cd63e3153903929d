"""Units of work on an existing Ray cluster: connect, hand out, take in, survive a node that dies.

Ray is an optional part and reports usage to its makers unless told otherwise; here it is told otherwise.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from c6seg.errors import MissingExtraError, UsageError

UnitT = TypeVar("UnitT")
ResultT = TypeVar("ResultT")

RETRIES = 3
"""How often a unit is begun again after its node or process died."""

LOOPBACK = "127."

ANSWER_S = 10.0
"""Time for a cluster to take a connection, seconds."""

AHEAD = 4
"""Units that are handed out for each processor of the cluster; more would only fill its queue."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one unit takes of the cluster.

    Parameters
    ----------
    cpus
        Processors; also the number of threads of a unit.
    gpus
        Graphics cards; a fraction shares one.
    """

    cpus: float = 1
    gpus: float = 0

    def __post_init__(self) -> None:
        if self.cpus <= 0 or self.gpus < 0:
            raise UsageError(f"A unit with {self.cpus:g} processors and {self.gpus:g} graphics cards cannot run.")

    @property
    def threads(self) -> int:
        """Threads that a unit may use."""
        return max(1, int(self.cpus))


@dataclass(frozen=True, slots=True)
class Lost:
    """Stands for the result of a unit whose nodes or processes died again and again."""

    why: str


def import_ray() -> Any:
    """Import Ray with its reports of usage switched off.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("Working on a Ray cluster", "cluster") from error
    return ray


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a running cluster; what is given is Ray.

    Parameters
    ----------
    address
        ``HOST:PORT`` of its head, or ``auto`` for the cluster that this machine belongs to.

    Raises
    ------
    MissingExtraError
        Ray is not installed.
    UsageError
        There is no cluster at the address.
    """
    ray = import_ray()
    try:
        _check_answers(address)
        # a cluster on a loopback address is looked for at the machine's outer one otherwise
        here = {"_node_ip_address": address.rpartition(":")[0]} if address.startswith(LOOPBACK) else {}
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(
            f"No Ray cluster at '{address}' ({why}). Start one: ray start --head; or leave --ray out to work here."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str) -> None:
    """Refuse an address where nobody listens; of a cluster that ended without a word, Ray would wait for ever.

    Raises
    ------
    ConnectionError
        Nobody answers within :data:`ANSWER_S`.
    """
    if address == "auto":
        from ray._private.services import canonicalize_bootstrap_address

        address = canonicalize_bootstrap_address(address) or ""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdecimal():
        return  # Ray says itself what is wrong with it
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
    except OSError as error:
        raise ConnectionError(f"{host}:{port} does not answer: {error}") from error


class Crew:
    """Hands units to a cluster and takes their results in as they come.

    Parameters
    ----------
    ray
        Of :func:`connected`.
    function
        Does one unit on a node; units are done again when a node dies, so it must be able to.
    resources
        What one unit takes.
    """

    def __init__(self, ray: Any, function: Callable[..., Any], resources: Resources) -> None:
        self.ray = ray
        self._check_fits(resources)
        options = {"num_cpus": resources.cpus, "num_gpus": resources.gpus, "max_retries": RETRIES}
        self._remote = ray.remote(**options)(function)
        self._units: dict[Any, Any] = {}
        self.room = max(8, AHEAD * int(ray.cluster_resources().get("CPU", 1) / resources.cpus))

    @property
    def busy(self) -> int:
        """Units that are handed out and not taken in."""
        return len(self._units)

    def hand_out(self, unit: Any, *arguments: Any) -> None:
        """Give a unit to the cluster; what it is called with are ``arguments``."""
        self._units[self._remote.remote(*arguments)] = unit

    def take_in(self) -> Iterator[tuple[Any, Any]]:
        """Wait until a unit is done and yield those that are, each with its result, its exception, or :class:`Lost`."""
        count = min(self.busy, 1)
        ready, _ = self.ray.wait(list(self._units), num_returns=count)
        more, _ = self.ray.wait(list(self._units), num_returns=self.busy, timeout=0)
        for reference in {*ready, *more}:
            unit = self._units.pop(reference)
            try:
                yield unit, self.ray.get(reference)
            except self.ray.exceptions.RayTaskError as error:
                yield unit, error.cause if isinstance(getattr(error, "cause", None), Exception) else error
            except self.ray.exceptions.RayError as error:
                yield unit, Lost(f"the cluster lost it {RETRIES + 1} times: {_first_line(error)}")

    def cancel(self) -> None:
        """Take back what is handed out."""
        for reference in self._units:
            self.ray.cancel(reference, force=False)
        self._units.clear()

    def _check_fits(self, resources: Resources) -> None:
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not any(node.get("CPU", 0) >= resources.cpus and node.get("GPU", 0) >= resources.gpus for node in nodes):
            largest = max((node.get("CPU", 0) for node in nodes), default=0)
            cards = max((node.get("GPU", 0) for node in nodes), default=0)
            raise UsageError(
                f"No node of the cluster has {resources.cpus:g} processors and {resources.gpus:g} graphics cards; the "
                f"largest has {largest:g} and {cards:g}. Ask for less: --cpus, --gpus."
            )


def each(
    ray: Any, function: Callable[..., Any], units: Sequence[tuple[Any, ...]], resources: Resources
) -> Iterator[tuple[int, Any]]:
    """Do independent units; yields the number of each with its result or its exception, in the order of their ends.

    Parameters
    ----------
    ray, function, resources
        As in :class:`Crew`.
    units
        Arguments of each.
    """
    crew = Crew(ray, function, resources)
    upcoming = iter(enumerate(units))
    try:
        for number, arguments in upcoming:
            crew.hand_out(number, *arguments)
            while crew.busy >= crew.room:
                yield from crew.take_in()
        while crew.busy:
            yield from crew.take_in()
    finally:
        crew.cancel()


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
