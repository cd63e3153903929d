"""Graphs of networks that are exported again and again, as in a study, where only the weights differ.

Making a graph takes longer than a small training. A graph holds pointers to the weights and not the weights, unless a
constant was folded; so it is used again only after two networks of unlike weights gave the same one, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from c6seg.runtime import atomic_path, sha256, write_json

LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header."""


class GraphStore:
    """Keeps the graph of one kind of network.

    Parameters
    ----------
    folder
        Where graphs are kept.
    weights
        The network's safetensors file; names, shapes, types and places of its tensors name the graph.
    version
        Of the exporter.
    """

    def __init__(self, folder: Path, weights: Path, version: str) -> None:
        with weights.open("rb") as file:
            header = file.read(int.from_bytes(file.read(LENGTH_BYTES), "little"))
        self.path = folder / f"{hashlib.sha256(version.encode() + header).hexdigest()[:20]}.onnx"
        self.weights = weights

    def find(self) -> bytes | None:
        """Return the graph if it is known to hold no weights, else None."""
        entry = self._entry()
        if not entry.get("known"):
            return None
        try:
            graph = self.path.read_bytes()
        except OSError:
            return None
        return graph if hashlib.sha256(graph).hexdigest() == entry.get("graph") else None

    def keep(self, graph: bytes) -> None:
        """Keep a graph that was just made; an equal one of other weights makes it known to hold none.

        Raises
        ------
        OutputError
            The folder cannot be written.
        """
        entry = {"graph": hashlib.sha256(graph).hexdigest(), "weights": sha256(self.weights), "known": False}
        before = self._entry()
        if before.get("graph") == entry["graph"]:
            entry["known"] = bool(before.get("known")) or before.get("weights") != entry["weights"]
        with atomic_path(self.path) as temporary:
            temporary.write_bytes(graph)
        write_json(self.path.with_suffix(".json"), entry)

    def _entry(self) -> dict[str, Any]:
        try:
            value = json.loads(self.path.with_suffix(".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}
