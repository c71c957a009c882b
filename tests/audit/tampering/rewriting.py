"""An attacker who can do everything but sign: the log is written anew, hash by hash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw
import attrs

from persistence import Keyword
from persistence.audit.merkle import tree_hash
from persistence.audit.record import NO_LEAF, Entry, datoms_root, leaf_hash, parse_entry
from persistence.values import FOREVER, encode_datom

Sign = Callable[[Entry], Entry]


def change_filler(file: apsw.Connection, t: int, value: int) -> None:
    """Lets the filler of transaction *t* say *value*: in the log, in the index, in its header."""
    ((e, vf, vt),) = file.execute("SELECT e, vf, vt FROM log WHERE t = ?", (t,)).fetchall()
    file.execute("UPDATE log SET v = ? WHERE t = ?", (value, t))
    file.execute("UPDATE fact SET v = ? WHERE t0 = ?", (value, t))
    assert vt == FOREVER
    root = datoms_root([encode_datom(e, Keyword("filler"), value, vf, vt, True)])
    held = entry_at(file, t)
    write_entry(file, t, with_header(held, datoms_root=root))


def rehash(file: apsw.Connection, start: int = 1, sign: Sign = lambda entry: entry) -> None:
    """Makes ids, parents, leaves and the tree fit together again, from transaction *start* on."""
    rows = file.execute("SELECT t, id, leaf, parent FROM tx ORDER BY t").fetchall()
    ids = {t: id for t, id, _, _ in rows}
    leaves = {t: leaf for t, _, leaf, _ in rows}
    for t, _, _, parent in rows:
        if t < start:
            continue
        held = entry_at(file, t)
        made = with_header(held, parent=ids.get(parent, bytes(32)))
        made = sign(attrs.evolve(made, previous_leaf=leaves.get(t - 1, NO_LEAF)))
        write_entry(file, t, made)
        ids[t], leaves[t] = made.id, leaf_hash(made.encoded())
    _write_tree(file)


def relink(file: apsw.Connection, start: int) -> None:
    """Lets each entry name the leaf before it, which no author signs, and writes the tree anew."""
    ((leaf,),) = file.execute("SELECT leaf FROM tx WHERE t = ?", (start - 1,)).fetchall()
    for (t,) in file.execute("SELECT t FROM tx WHERE t >= ? ORDER BY t", (start,)).fetchall():
        made = attrs.evolve(entry_at(file, t), previous_leaf=leaf)
        write_entry(file, t, made)
        leaf = leaf_hash(made.encoded())
    _write_tree(file)


def _write_tree(file: apsw.Connection) -> None:
    leaves = [leaf for (leaf,) in file.execute("SELECT leaf FROM tx ORDER BY t").fetchall()]
    file.execute("DELETE FROM tree")
    for n in range(len(leaves) >> 8):
        file.execute(
            "INSERT INTO tree VALUES (8, ?, ?)", (n, tree_hash(leaves[n << 8 : (n + 1) << 8]))
        )


def unsigned(entry: Entry) -> Entry:
    """*entry* without its signature."""
    return attrs.evolve(entry, public=None, signature=None)


def entry_at(file: apsw.Connection, t: int) -> Entry:
    ((data,),) = file.execute("SELECT entry FROM tx WHERE t = ?", (t,)).fetchall()
    return parse_entry(data)


def with_header(held: Entry, **changed: Any) -> Entry:
    header = attrs.evolve(held.header, **changed)
    return attrs.evolve(held, header=header, body=header.encoded(), id=header.id())


def write_entry(file: apsw.Connection, t: int, made: Entry) -> None:
    data = made.encoded()
    file.execute(
        "UPDATE tx SET id = ?, entry = ?, leaf = ?, time = ? WHERE t = ?",
        (made.id, data, leaf_hash(data), made.header.time, t),
    )


def cut(file: apsw.Connection, t: int) -> None:
    """Takes everything after transaction *t* from the log and from the index."""
    for sql in (
        "DELETE FROM tx WHERE t > ?",
        "DELETE FROM log WHERE t > ?",
        "DELETE FROM fact WHERE t0 > ?",
        "DELETE FROM tree WHERE (n + 1) << level > ?",
    ):
        file.execute(sql, (t,))


def empty(file: apsw.Connection) -> None:
    """Takes everything from the tables of the store."""
    for table in (
        *("tx", "log", "fact", "attr", "blob", "text", "owned", "branch_attr"),
        *("tree", "checkpoint", "sealed"),
    ):
        file.execute(f"DELETE FROM {table}")
    file.execute("INSERT INTO fts (fts) VALUES ('delete-all')")
    file.execute("DELETE FROM meta WHERE key = 'reserved'")
