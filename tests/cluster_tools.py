"""A real Ray cluster of several nodes on this machine, for tests and benchmarks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NODES = Path(__file__).with_name("ray_nodes.py")


class Nodes:
    """The cluster: its address, and a way to kill a node."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._read()

    def kill_one(self) -> None:
        """Kill a node's process and with it what runs on the node."""
        assert self._process.stdin is not None
        self._process.stdin.write("kill\n")
        self._process.stdin.flush()
        assert self._read() == "killed"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def ray_nodes(workers: int, *, cpus: int = 1) -> Iterator[Nodes]:
    """Start a head without processors and some nodes with a few."""
    with subprocess.Popen(
        [sys.executable, str(NODES), str(workers), str(cpus)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            nodes = Nodes(process)
            if not nodes.address:
                raise RuntimeError("the cluster did not start")
            yield nodes
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
