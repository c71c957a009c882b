"""A log as files: laid out as others read it, read with limits, and extended only by itself."""

from __future__ import annotations

import base64
import json
import os
import shutil
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from persistence.audit import export
from persistence.audit.merkle import (
    Frontier,
    Nodes,
    check_consistency,
    check_inclusion,
    consistency_path,
    inclusion_path,
    leaf_hash,
    tree_hash,
)
from persistence.audit.tiles import (
    Reader,
    TileError,
    bundle_path,
    decode_bundle,
    encode_bundle,
    tile_path,
)

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "tiles.json").read_text("utf-8"))
SIZE = 70_000  # the example of tlog-tiles: three levels of tiles
ENTRIES = [number.to_bytes(4, "big") for number in range(SIZE)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]
NODES = Nodes.of(LEAVES)


def root_of(size: int) -> bytes:
    return Frontier.of(size, NODES).root()


def checkpoint(size: int, root: bytes | None = None) -> bytes:
    text = base64.b64encode(root_of(size) if root is None else root).decode()
    return f"example.com/log\n{size}\n{text}\n\n— example.com/log c2lnbmVk\n".encode()


def write(directory: Path, size: int, start: int = 0) -> None:
    export.write(directory, size, ENTRIES[start:size], checkpoint(size), start=start)


def files_of(directory: Path) -> dict[str, bytes]:
    found = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("large")
    write(directory, SIZE)
    return directory


@pytest.fixture
def small(tmp_path: Path) -> Path:
    directory = tmp_path / "small"
    write(directory, 300)
    return directory


@pytest.mark.parametrize("vector", VECTORS["paths"], ids=lambda vector: vector["path"])
def test_paths_are_pinned(vector: dict[str, Any]) -> None:
    level, n, width = vector["level"], vector["n"], vector["width"]
    found = bundle_path(n, width) if level == "entries" else tile_path(level, n, width)
    assert found == vector["path"]


def test_bundles_are_pinned() -> None:
    for vector in VECTORS["bundles"]:
        entries = [bytes.fromhex(entry) for entry in vector["entries"]]
        assert encode_bundle(entries).hex() == vector["bundle"]
        assert decode_bundle(bytes.fromhex(vector["bundle"]), len(entries)) == entries


def test_the_files_of_a_log_are_pinned(large: Path) -> None:
    files = files_of(large)
    assert files.pop("checkpoint") == checkpoint(SIZE)
    assert len(files) == VECTORS["log"]["files"]
    for path, digest in VECTORS["log"]["sha256"].items():
        assert sha256(files[path]).hexdigest() == digest, path


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 512, 65_535, 65_536, 65_537])
def test_a_log_holds_the_tiles_that_its_size_asks_for(tmp_path: Path, size: int) -> None:
    write(tmp_path, size)
    expected = {"checkpoint"}
    for level in range(3):
        count = size >> 8 * level
        widths = [256] * (count // 256) + ([count % 256] if count % 256 else [])
        expected |= {tile_path(level, n, width) for n, width in enumerate(widths)}
        if level == 0:
            expected |= {bundle_path(n, width) for n, width in enumerate(widths)}
    assert set(files_of(tmp_path)) == expected
    reader = Reader(tmp_path)
    assert (reader.size, reader.checkpoint()) == (size, checkpoint(size))
    assert list(reader.entries()) == ENTRIES[:size]


def test_what_is_read_is_what_was_written(large: Path) -> None:
    reader = Reader(large)
    for start, stop in ((0, 1), (255, 257), (69_800, 70_000), (70_000, 70_000), (512, 768)):
        assert list(reader.entries(start, stop)) == ENTRIES[start:stop]
    assert reader.hash_tile(0, 272) == LEAVES[272 * 256 : 273 * 256]
    assert reader.hash_tile(0, 273, 112) == LEAVES[273 * 256 :]
    assert reader.hash_tile(1, 1, 17) == [NODES(8, n) for n in range(256, 273)]
    assert reader.hash_tile(2, 0, 1) == [NODES(16, 0)]
    assert repr(reader) == f"Reader({str(large)!r})"


def test_proofs_come_out_of_the_tiles(large: Path) -> None:
    read = Reader(large).nodes()
    assert Frontier.of(SIZE, read).root() == root_of(SIZE)
    for index in (0, 255, 256, 65_535, 65_536, 69_999):
        path = inclusion_path(index, SIZE, read)
        check_inclusion(LEAVES[index], index, SIZE, path, root_of(SIZE))
    for old in (1, 256, 65_536, 65_537, 69_888, 69_999):
        check_consistency(old, SIZE, root_of(old), root_of(SIZE), consistency_path(old, SIZE, read))


def test_a_full_tile_serves_where_the_partial_one_is_gone(small: Path) -> None:
    reader = Reader(small)
    assert reader.bundle(0, 7) == ENTRIES[:7]
    assert reader.hash_tile(0, 0, 7) == LEAVES[:7]


# Extending.

few = st.lists(st.integers(0, 600), min_size=1, max_size=4).map(sorted)


@settings(max_examples=20)
@given(few, st.booleans())
@example([0, 0], True)
@example([256, 256, 300], True)
@example([300, 512], True)
@example([512, 512], False)
def test_an_extended_export_is_one_made_at_once_and_old_partial_tiles(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], resumed: bool
) -> None:
    place = tmp_path_factory.mktemp("export")
    for size in sizes:
        write(place / "grown", size, export.kept(place / "grown") if resumed else 0)
    write(place / "once", sizes[-1])
    grown, once = files_of(place / "grown"), files_of(place / "once")
    assert {path: grown[path] for path in once} == once
    assert all(".p/" in path for path in set(grown) - set(once))
    shutil.rmtree(place)


def test_full_tiles_of_an_earlier_export_are_not_touched(tmp_path: Path) -> None:
    write(tmp_path, 600)
    before = {path: (tmp_path / path).stat().st_ino for path in files_of(tmp_path)}
    write(tmp_path, 1000, export.kept(tmp_path))
    for path, inode in before.items():
        if path != "checkpoint" and ".p/" not in path:
            assert (tmp_path / path).stat().st_ino == inode, path


def test_readers_of_the_earlier_checkpoint_still_find_their_tiles(small: Path) -> None:
    reader = Reader(small)
    assert reader.size == 300
    write(small, 700, export.kept(small))
    assert list(reader.entries()) == ENTRIES[:300]
    assert Frontier.of(300, reader.nodes()).root() == root_of(300)


def test_another_log_is_not_written_over_an_earlier_one(small: Path) -> None:
    before = files_of(small)
    other = [b"other", *ENTRIES[1:400]]
    claim = checkpoint(400, tree_hash([leaf_hash(entry) for entry in other]))
    with pytest.raises(TileError, match="not those of the checkpoint of that size") as refused:
        export.write(small, 400, other, claim)
    assert refused.value.expected == root_of(300).hex()
    assert files_of(small) == before


def test_an_export_does_not_shrink(small: Path) -> None:
    with pytest.raises(TileError, match="300 entries is exported there already, and this one has"):
        write(small, 299)


@pytest.mark.parametrize(
    ("entries", "claimed", "why"),
    [
        (ENTRIES[:299], 300, "there are 299"),
        (ENTRIES[:301], 300, "more than 300"),
        ([*ENTRIES[:299], b"x"], 300, "not those of the checkpoint"),
        ([*ENTRIES[:299], bytes(65_536)], 300, "at most 65535 bytes, not 65536"),
        (ENTRIES[:300], 299, "no checkpoint of 300 entries, but of 299"),
    ],
)
def test_nothing_is_claimed_that_is_not_there(
    tmp_path: Path, entries: list[bytes], claimed: int, why: str
) -> None:
    with pytest.raises(TileError, match=why):
        export.write(tmp_path, 300, entries, checkpoint(claimed))
    assert not (tmp_path / "checkpoint").exists()
    write(tmp_path, 300)  # what was left does no harm
    assert list(Reader(tmp_path).entries()) == ENTRIES[:300]


def test_an_export_goes_on_where_it_can_only(small: Path) -> None:
    for start in (1, 512, -256):
        with pytest.raises(TileError, match="goes on from entry 256"):
            export.write(small, 400, ENTRIES[start:400], checkpoint(400), start=start)


def test_an_export_that_stops_leaves_the_earlier_one(small: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield from ENTRIES[:700]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export.write(small, 1000, broken(), checkpoint(1000))
    assert list(Reader(small).entries()) == ENTRIES[:300]
    write(small, 1000, export.kept(small))
    assert list(Reader(small).entries()) == ENTRIES[:1000]


def test_the_files_are_whole_and_readable_by_a_server(small: Path) -> None:
    assert not [path for path in files_of(small) if Path(path).name.startswith(".")]
    mask = os.umask(0)
    os.umask(mask)
    for path in small.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~mask


def test_the_memory_of_writing_and_reading_does_not_grow_with_the_log(tmp_path: Path) -> None:
    def peak(size: int) -> int:
        directory = tmp_path / str(size)
        claim = checkpoint(size)
        tracemalloc.start()
        try:
            told: list[int] = []
            entries = (number.to_bytes(4, "big") for number in range(size))
            export.write(directory, size, entries, claim, progress=told.append)
            assert sum(1 for _ in Reader(directory).entries()) == size == told[-1]
            return tracemalloc.get_traced_memory()[1] - 100 * len(told)
        finally:
            tracemalloc.stop()

    assert peak(25_600) < 2 * peak(2_560)


# What must be refused.


def damaged(directory: Path, path: str, data: bytes | None) -> None:
    if data is None:
        (directory / path).unlink()
    else:
        (directory / path).write_bytes(data)


def everything(directory: Path) -> None:
    reader = Reader(directory)
    list(reader.entries())
    Frontier.of(reader.size, reader.nodes())
    inclusion_path(reader.size - 1, reader.size, reader.nodes())
    inclusion_path(0, reader.size, reader.nodes())


@pytest.mark.parametrize("path", [tile_path(0, 0), tile_path(0, 1, 44), tile_path(1, 0, 1)])
@pytest.mark.parametrize("kind", ["missing", "short", "long", "empty"])
def test_a_damaged_hash_tile_is_refused(small: Path, path: str, kind: str) -> None:
    whole = (small / path).read_bytes()
    cases = {"missing": None, "short": whole[:-1], "long": whole + b"\0", "empty": b""}
    damaged(small, path, cases[kind])
    with pytest.raises(TileError, match="has to be") as refused:
        everything(small)
    assert refused.value.path == str(small / path)
    assert refused.value.expected == f"{len(whole)} bytes"
    found = "no file" if kind == "missing" else f"{len(cases[kind] or b'')} bytes"
    assert refused.value.found == found


@pytest.mark.parametrize("path", [bundle_path(0), bundle_path(1, 44)])
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("missing", "no file"),
        ("short", "truncated"),
        ("long", "too long"),
        ("one more", "too long"),
        ("one length", "truncated"),
        ("tiny", "has to be"),
        ("huge", "has to be"),
    ],
)
def test_a_damaged_bundle_is_refused(small: Path, path: str, kind: str, why: str) -> None:
    whole = (small / path).read_bytes()
    cases = {
        "missing": None,
        "short": whole[:-1],
        "long": whole + b"\0",
        "one more": whole + encode_bundle([b"x"]),
        "one length": whole[:-6] + b"\xff\xff" + whole[-4:],
        "tiny": whole[:3],
        "huge": whole,
    }
    damaged(small, path, cases[kind])
    if kind == "huge":  # sparse: it takes no room on the disk, and must take none in memory
        os.truncate(small / path, 1 << 40)
    with pytest.raises(TileError, match=why) as refused:
        everything(small)
    assert refused.value.path.endswith(path)


def test_a_huge_hash_tile_and_a_huge_checkpoint_are_not_read(small: Path) -> None:
    for path in (tile_path(0, 0), "checkpoint"):
        os.truncate(small / path, 1 << 40)
        with pytest.raises(TileError, match=r"found 1099511627776 bytes"):
            everything(small)


def test_what_is_no_file_is_not_opened(small: Path) -> None:
    (small / bundle_path(0)).unlink()
    os.mkfifo(small / bundle_path(0))  # opening it would wait for a writer
    with pytest.raises(TileError, match="no file of bytes"):
        everything(small)
    (small / tile_path(0, 0)).unlink()
    (small / tile_path(0, 0)).mkdir()
    with pytest.raises(TileError, match="no file of bytes"):
        Reader(small).hash_tile(0, 0)
    with pytest.raises(TileError, match="no file"):
        Reader(small / "nowhere").checkpoint()
    loop = small / "loop"
    loop.symlink_to(loop)
    with pytest.raises(TileError, match="has to be"):
        Reader(loop).checkpoint()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"origin\n3\n",
        b"\n3\n" + base64.b64encode(bytes(32)) + b"\n",
        b"origin\n03\n" + base64.b64encode(bytes(32)) + b"\n",
        b"origin\n-3\n" + base64.b64encode(bytes(32)) + b"\n",
        b"origin\n9223372036854775808\n" + base64.b64encode(bytes(32)) + b"\n",
        b"origin\n3\n" + base64.b64encode(bytes(31)) + b"\n",
        b"origin\n3\n" + base64.b64encode(bytes(32)),
        b"origin\n3\r\n" + base64.b64encode(bytes(32)) + b"\r\n",
        b"origin\n3\n" + b"A" * 42 + b"B=\n",  # bits that 32 bytes do not have
    ],
)
def test_a_malformed_checkpoint_is_refused(small: Path, text: bytes) -> None:
    (small / "checkpoint").write_bytes(text)
    with pytest.raises(TileError):
        _ = Reader(small).size
    with pytest.raises(TileError):
        write(small, 300)


@pytest.mark.parametrize(("level", "n", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0)])
def test_tiles_that_there_cannot_be_are_refused(
    small: Path, level: int, n: int, width: int
) -> None:
    with pytest.raises(TileError):
        Reader(small).hash_tile(level, n, width)
    with pytest.raises(TileError):
        Reader(small).bundle(0, 257)


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 301), (301, 301)])
def test_entries_outside_the_log_are_refused_at_once(small: Path, start: int, stop: int) -> None:
    with pytest.raises(TileError, match=f"has none from {start} to {stop}"):
        Reader(small).entries(start, stop)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_a_bundle_reads_back(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


@given(st.binary(max_size=2000), st.integers(1, 256))
def test_any_bytes_are_a_bundle_or_a_tile_error(data: bytes, width: int) -> None:
    try:
        assert encode_bundle(decode_bundle(data, width)) == data
    except TileError as error:
        assert error.path == "tile/entries"


@settings(max_examples=50)
@given(st.data())
def test_any_damage_to_the_files_is_a_tile_error_or_reads(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("damage")
    write(directory, 260)
    files = files_of(directory)
    path = data.draw(st.sampled_from(sorted(files)))
    whole = files[path]
    at = data.draw(st.integers(0, len(whole)))
    cut = data.draw(st.integers(0, 4))
    damaged(directory, path, whole[:at] + data.draw(st.binary(max_size=4)) + whole[at + cut :])
    try:
        everything(directory)
    except TileError as error:
        assert error.path and error.expected is not None
    shutil.rmtree(directory)
