"""The files of a batch are read ahead: while the network has one image, the next file comes from the disk."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from c6seg import runtime


class ReadAhead:
    """Gives the hashes of files in their order, one file ahead of who asks.

    A file that was hashed is in the memory of the operating system when it is decoded a moment later, so that the
    network waits neither for a slow disk nor for a network drive.

    Parameters
    ----------
    paths
        The files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
        self._coming: dict[int, Future[str]] = {}

    def __enter__(self) -> ReadAhead:
        """Begin to read nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Read no further; a file that is being read is read to its end in the background."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def sha256(self, number: int) -> str:
        """Return the hash of a file, and begin with the one after it.

        Parameters
        ----------
        number
            Place of the file in ``paths``.

        Raises
        ------
        OSError
            The file cannot be read.
        """
        mine = self._begin(number)
        if number + 1 < len(self._paths):
            self._begin(number + 1)
        del self._coming[number]
        return mine.result()

    def _begin(self, number: int) -> Future[str]:
        if number not in self._coming:
            self._coming[number] = self._pool.submit(runtime.sha256, self._paths[number])
        return self._coming[number]
