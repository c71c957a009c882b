"""The Merkle tree is that of RFC 6962 and of others, and its checks refuse what proves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pymerkle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from persistence.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    Nodes,
    ProofError,
    check_consistency,
    check_inclusion,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    path_length,
    root_from_inclusion,
    tree_hash,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "merkle.json").read_text("utf-8"))
SIZE = 300  # more than a tile
ENTRIES = [b"entry %d" % number for number in range(SIZE)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
sizes = st.integers(1, SIZE)


# The definitions of RFC 6962 section 2.1, word for word.


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


@cache
def mth(start: int, stop: int) -> bytes:
    if stop - start == 1:
        return LEAVES[start]
    k = split(stop - start)
    return node_hash(mth(start, start + k), mth(start + k, stop))


def path_by_definition(m: int, start: int, stop: int) -> list[bytes]:
    if stop - start == 1:
        return []
    k = split(stop - start)
    if m < k:
        return [*path_by_definition(m, start, start + k), mth(start + k, stop)]
    return [*path_by_definition(m - k, start + k, stop), mth(start, start + k)]


def proof_by_definition(m: int, start: int, stop: int, known: bool = True) -> list[bytes]:
    if m == stop - start:
        return [] if known else [mth(start, stop)]
    k = split(stop - start)
    if m <= k:
        return [*proof_by_definition(m, start, start + k, known), mth(start + k, stop)]
    return [*proof_by_definition(m - k, start + k, stop, False), mth(start, start + k)]


NODES = Nodes.of(LEAVES)


@cache
def independent() -> pymerkle.InmemoryTree:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in ENTRIES:
        tree.append_entry(entry)
    return tree


@st.composite
def index_and_size(draw: st.DrawFn) -> tuple[int, int]:
    size = draw(sizes)
    return draw(st.integers(0, size - 1)), size


def unhexed(path: list[str]) -> list[bytes]:
    return [bytes.fromhex(node) for node in path]


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in VECTORS["entries"][:size]]
    root = VECTORS["roots"][size]
    assert tree_hash(leaves).hex() == Frontier().extend(leaves).root().hex() == root


@pytest.mark.parametrize("vector", VECTORS["inclusion"], ids=lambda v: f"{v['index']}of{v['size']}")
def test_inclusion_paths_are_pinned(vector: dict[str, Any]) -> None:
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in VECTORS["entries"]]
    index, size, path = vector["index"], vector["size"], unhexed(vector["path"])
    assert inclusion_path(index, size, Nodes.of(leaves)) == path
    check_inclusion(leaves[index], index, size, path, bytes.fromhex(VECTORS["roots"][size]))


@pytest.mark.parametrize("vector", VECTORS["consistency"], ids=lambda v: f"{v['old']}to{v['new']}")
def test_consistency_paths_are_pinned(vector: dict[str, Any]) -> None:
    leaves = [leaf_hash(bytes.fromhex(entry)) for entry in VECTORS["entries"]]
    old, new, path = vector["old"], vector["new"], unhexed(vector["path"])
    assert consistency_path(old, new, Nodes.of(leaves)) == path
    roots = unhexed(VECTORS["roots"])
    check_consistency(old, new, roots[old], roots[new], path)


def test_a_large_frontier_is_pinned() -> None:
    vector = VECTORS["frontier"]
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(vector["size"])]
    tree, stored = Frontier().grown(leaves)
    assert [peak.hex() for peak in tree.peaks] == vector["peaks"]
    assert tree.root().hex() == tree_hash(leaves).hex() == vector["root"]
    last = {level: [level, index, node.hex()] for level, index, node in stored}
    assert [last[8], last[16]] == vector["nodes"]


def test_every_root_up_to_300_is_that_of_the_definition_and_of_pymerkle() -> None:
    assert tree_hash([]) == Frontier().root() == EMPTY_ROOT == independent().get_root(0)
    tree = Frontier()
    for size in range(1, SIZE + 1):
        tree = tree.extend([LEAVES[size - 1]])
        assert tree.size == size
        assert tree == Frontier.of(size, NODES)
        root = mth(0, size)
        assert tree_hash(LEAVES[:size]) == tree.root() == independent().get_root(size) == root


@given(index_and_size())
@example((0, 1))
@example((255, 256))
@example((256, 257))
def test_inclusion_paths_are_those_of_the_definition_and_of_pymerkle(at: tuple[int, int]) -> None:
    index, size = at
    path = inclusion_path(index, size, NODES)
    assert path == path_by_definition(index, 0, size)
    assert len(path) == path_length(index, size)
    assert root_from_inclusion(LEAVES[index], index, size, path) == mth(0, size)
    check_inclusion(LEAVES[index], index, size, path, mth(0, size))
    theirs = independent().prove_inclusion(index + 1, size)
    assert theirs.path == [LEAVES[index], *path]


@given(sizes, sizes)
@example(256, 300)
@example(1, 300)
@example(300, 300)
def test_consistency_paths_are_those_of_the_definition(one: int, other: int) -> None:
    old, new = sorted((one, other))
    path = consistency_path(old, new, NODES)
    assert path == proof_by_definition(old, 0, new)
    check_consistency(old, new, mth(0, old), mth(0, new), path)
    # pymerkle splits further than the RFC, but speaks of the same two trees.
    independent().prove_consistency(old, new).verify(mth(0, old), mth(0, new), old, new)


@given(st.lists(st.integers(0, 300), max_size=6))
def test_growing_in_steps_is_growing_at_once(steps: list[int]) -> None:
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(sum(steps))]
    tree, stored, start = Frontier(), [], 0
    for step in steps:
        tree, more = tree.grown(leaves[start : start + step])
        stored += more
        start += step
    assert (tree, stored) == Frontier().grown(leaves)
    assert tree.root() == tree_hash(leaves)
    expected = [(8, n, tree_hash(leaves[n * 256 : n * 256 + 256])) for n in range(start // 256)]
    assert stored == expected


def test_a_path_in_a_million_leaves_reads_a_tile_for_eight_levels() -> None:
    size = 1_000_000
    leaf = leaf_hash(b"")  # all alike: a node is given by its level
    alike = [leaf]
    for level in range(20):
        alike.append(node_hash(alike[level], alike[level]))
    asked: list[tuple[int, int, int]] = []

    def subtrees(level: int, start: int, stop: int) -> list[bytes]:
        asked.append((level, start, stop))
        return [alike[level]] * (min(stop, size >> level) - start)

    read = Nodes(lambda start, stop: subtrees(0, start, stop), subtrees)
    root = Frontier.of(size, read).root()
    asked.clear()
    read = Nodes(lambda start, stop: subtrees(0, start, stop), subtrees)
    path = inclusion_path(123_456, size, read)
    assert len(path) == 20
    check_inclusion(leaf, 123_456, size, path, root)
    # Three for the leaf's side, two for the right end of the tree; none of them twice.
    assert len(asked) == len(set(asked)) == 5
    assert {level for level, _, _ in asked} == {0, 8, 16}
    inclusion_path(123_457, size, read)
    assert len(asked) == 5


def test_nodes_see_a_tree_that_grew() -> None:
    leaves = LEAVES[:3]
    read = Nodes(lambda start, stop: leaves[start:stop], lambda level, start, stop: [])
    with pytest.raises(ProofError, match="no complete node 1 at level 1") as refused:
        read(1, 1)
    assert (refused.value.expected, refused.value.found) == (4, 3)
    leaves.append(LEAVES[3])
    assert read(1, 1) == node_hash(LEAVES[2], LEAVES[3])


def test_nodes_keep_few_tiles_and_fetch_the_others_again() -> None:
    read = Nodes(
        lambda start, stop: [n.to_bytes(32, "big") for n in range(start, stop)],
        lambda level, start, stop: [],
    )
    for number in (*range(0, 256 * 200, 256), 0):
        assert read(0, number) == number.to_bytes(32, "big")
    assert len(read._tiles) == Nodes.KEPT


# What must be refused.


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 4), (4, 4), (2**64, 4), (0, -1)])
def test_a_leaf_outside_the_tree_is_refused(index: int, size: int) -> None:
    with pytest.raises(ProofError, match=f"of {size} leaves has no leaf {index}") as refused:
        check_inclusion(LEAVES[0], index, size, [], LEAVES[0])
    assert (refused.value.where, refused.value.found) == ("index", index)
    with pytest.raises(ProofError):
        inclusion_path(index, size, NODES)


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (6, 5), (-1, 5), (1, 0), (-2, -1)])
def test_sizes_between_which_nothing_is_proved_are_refused(old: int, new: int) -> None:
    with pytest.raises(ProofError, match="there is nothing to prove"):
        check_consistency(old, new, EMPTY_ROOT, EMPTY_ROOT, [])
    with pytest.raises(ProofError):
        consistency_path(old, new, NODES)


def test_equal_sizes_are_consistent_with_one_root_and_no_path() -> None:
    check_consistency(5, 5, mth(0, 5), mth(0, 5), [])
    with pytest.raises(ProofError, match="another root"):
        check_consistency(5, 5, mth(0, 5), mth(1, 6), [])
    with pytest.raises(ProofError, match="1 hashes, where these sizes want 0"):
        check_consistency(5, 5, mth(0, 5), mth(0, 5), [mth(0, 5)])


def test_a_frontier_of_the_wrong_width_is_refused() -> None:
    for size, peaks in ((0, LEAVES[:1]), (3, LEAVES[:1]), (-1, LEAVES[:1])):
        with pytest.raises(ProofError, match="peaks"):
            Frontier(size, tuple(peaks))


Mutation = Callable[[list[bytes], int], list[bytes]]
MUTATIONS: dict[str, Mutation] = {
    "a bit": lambda path, at: [
        *path[:at],
        bytes([path[at][0] ^ 1 << at % 8]) + path[at][1:],
        *path[at + 1 :],
    ],
    "dropped": lambda path, at: path[:at] + path[at + 1 :],
    "doubled": lambda path, at: path[: at + 1] + path[at:],
    "short": lambda path, at: [*path[:at], path[at][:31], *path[at + 1 :]],
    "long": lambda path, at: [*path[:at], path[at] + b"\0", *path[at + 1 :]],
    "text": lambda path, at: [*path[:at], "x" * 32, *path[at + 1 :]],  # type: ignore[list-item]
    "one more": lambda path, at: [*path, path[at]],
    "one before": lambda path, at: [path[at], *path],
    "swapped": lambda path, at: [*path[:at], *path[at + 1 : at + 2], path[at], *path[at + 2 :]],
    "none": lambda path, at: [],
}


@given(index_and_size(), st.sampled_from(sorted(MUTATIONS)), st.data())
def test_a_changed_inclusion_path_is_refused(
    at: tuple[int, int], mutation: str, data: st.DataObject
) -> None:
    index, size = at
    path = inclusion_path(index, size, NODES)
    if not path:
        return
    changed = MUTATIONS[mutation](path, data.draw(st.integers(0, len(path) - 1)))
    if changed != path:
        with pytest.raises(ProofError):
            check_inclusion(LEAVES[index], index, size, changed, mth(0, size))


@given(index_and_size(), index_and_size())
def test_a_path_shows_one_leaf_at_one_place_only(
    one: tuple[int, int], two: tuple[int, int]
) -> None:
    (index, size), (other, larger) = one, two
    path = inclusion_path(index, size, NODES)
    claims = [
        (LEAVES[other], index, size, mth(0, size), other != index),
        (LEAVES[index], other, size, mth(0, size), other != index),
        (LEAVES[index], index, size, mth(0, larger), larger != size),
    ]
    for leaf, place, of, root, wrong in claims:
        if wrong:
            with pytest.raises(ProofError):
                check_inclusion(leaf, place, of, path, root)


def test_a_path_shows_a_size_as_far_as_its_shape_does() -> None:
    """Sizes of one shape are told apart by the checkpoint, which names the size with the root."""
    leaf, root, path = LEAVES[0], mth(0, 8), inclusion_path(0, 8, NODES)
    for size in (1, 2, 3, 4, 9, 16, 17):
        with pytest.raises(ProofError, match="where these sizes want"):
            check_inclusion(leaf, 0, size, path, root)


@given(sizes, sizes, st.sampled_from(sorted(MUTATIONS)), st.data())
def test_a_changed_consistency_path_is_refused(
    one: int, other: int, mutation: str, data: st.DataObject
) -> None:
    old, new = sorted((one, other))
    path = consistency_path(old, new, NODES)
    if not path:
        return
    changed = MUTATIONS[mutation](path, data.draw(st.integers(0, len(path) - 1)))
    if changed != path:
        with pytest.raises(ProofError):
            check_consistency(old, new, mth(0, old), mth(0, new), changed)


@given(sizes, sizes, sizes)
def test_a_consistency_path_does_not_fit_other_trees(one: int, other: int, third: int) -> None:
    old, new = sorted((one, other))
    path = consistency_path(old, new, NODES)
    if third != old:
        with pytest.raises(ProofError):
            check_consistency(old, new, mth(0, third), mth(0, new), path)
    if third != new:
        with pytest.raises(ProofError):
            check_consistency(old, new, mth(0, old), mth(0, third), path)


@given(
    st.integers(-2, 70),
    st.integers(-2, 70),
    st.lists(st.sampled_from([*LEAVES[:4], b"", b"\0" * 31, b"\0" * 33]), max_size=8),
    st.sampled_from([*LEAVES[:4], b""]),
)
def test_whatever_is_claimed_is_refused_as_a_proof_error_or_holds(
    index: int, size: int, path: list[bytes], root: bytes
) -> None:
    for check in (
        lambda: check_inclusion(LEAVES[0], index, size, path, root),
        lambda: check_consistency(index, size, LEAVES[0], root, path),
    ):
        try:
            check()
        except ProofError as error:
            assert str(error) and error.where
