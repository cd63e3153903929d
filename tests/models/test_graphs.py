"""A graph is used again only when it is known to hold no weights."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import save_file

from c6seg.models.graphs import GraphStore


def store(folder, value, *, version="1", shape=(2, 3)):
    weights = folder / "weights.safetensors"
    save_file({"a": np.full(shape, value, np.float32)}, weights)
    return GraphStore(folder / "graphs", weights, version)


def test_two_unlike_networks_with_the_same_graph_make_it_known(tmp_path):
    store(tmp_path, 1).keep(b"graph")
    assert store(tmp_path, 2).find() is None
    store(tmp_path, 1).keep(b"graph")
    assert store(tmp_path, 2).find() is None, "the same weights twice prove nothing"
    store(tmp_path, 2).keep(b"graph")
    assert store(tmp_path, 3).find() == b"graph"
    assert store(tmp_path, 3, version="2").find() is None
    assert store(tmp_path, 3, shape=(3, 2)).find() is None


def test_a_graph_that_holds_weights_is_never_used_again(tmp_path):
    for value in range(4):
        assert store(tmp_path, value).find() is None
        store(tmp_path, value).keep(b"graph %d" % value)


def test_a_damaged_graph_is_made_anew(tmp_path):
    store(tmp_path, 1).keep(b"graph")
    store(tmp_path, 2).keep(b"graph")
    store(tmp_path, 2).path.write_bytes(b"gra")
    assert store(tmp_path, 2).find() is None
    store(tmp_path, 2).path.with_suffix(".json").write_text("[")
    assert store(tmp_path, 2).find() is None
