"""`s.memory`: what was said, found again by its words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from persistence.connection import Connection
from persistence.datoms import InstantLike, moment
from persistence.db import Db
from persistence.errors import EntityNotFound, InputError
from persistence.ids import tx_position
from persistence.memory import facts
from persistence.memory.entry import Change, Entry
from persistence.memory.ranking import COMMON, Ranked, Row, ranked, weights
from persistence.session import WriterBase
from persistence.store.words import words
from persistence.values import Keyword, Map, keyword

_LAST: Final = datetime.max.replace(tzinfo=UTC)
_REMEMBERED: Final = Keyword("remembered")
_INSTANT: Final = Keyword("db/txInstant")

_FOUND: Final = "[(fulltext $ :memory/text ?word) [[?m ?text ?tx]]]"
_ABOUT: Final = "[?m :memory/about ?about]"


class Memory:
    """Memories on one branch of a store.

    >>> tea = s.memory.remember("Ada drinks green tea, never coffee", about=ada)
    >>> [str(each) for each in s.memory.recall("what tea does she like?")]
    ['Ada drinks green tea, never coffee']
    >>> s.memory.forget(tea, "she asked us to")
    >>> s.memory.recall("tea")
    []
    """

    def __init__(self, connection: Connection, *, branch: int = 0) -> None:
        self._connection, self._branch = connection, branch

    # ----------------------------------------------------------------- writing

    def remember(
        self,
        text: str,
        *,
        about: Any = None,
        kind: str | Keyword | None = None,
        source: Any = None,
        valid_from: InstantLike | None = None,
        **further: Any,
    ) -> int:
        """Keeps *text*, and gives the entity that it is.

        *about* is the entity it speaks of: an id, an ident or a lookup ref. *kind* is a keyword of
        your own, *source* where it comes from. It holds from *valid_from* on, by default from now
        on. Any other argument is a further fact: ``sure=0.9`` becomes `:memory/sure`.

        >>> id = s.memory.remember("Ada moved to London", kind="fact", sure=0.9)
        >>> s.fact.db().get(id, "memory/sure")
        0.9

        Raises:
            InputError: there is no word in *text*, or an argument names nothing.
            TransactionError: the store refuses one of the facts.
        """
        form: dict[Any, Any] = {":db/id": "memory", facts.TEXT: facts.readable(text)}
        if about is not None:
            form[facts.ABOUT] = [facts.entity(about)]  # a bare lookup ref would be two values
        if kind is not None:
            form[facts.KIND] = keyword(kind)
        if source is not None:
            form[facts.SOURCE] = source
        form |= facts.further(further)
        self._declare()
        report = self._connection.transact([form], valid_from=valid_from, branch=self._branch)
        return report.tempids["memory"]

    def correct(
        self, id: int, text: str, *, valid_from: InstantLike | None = None, why: str | None = None
    ) -> None:
        """Lets the memory *id* say *text* from *valid_from* on, by default from now on.

        What it said stays in history, and for all instants before *valid_from*.

        >>> id = s.memory.remember("the office is in Paris", valid_from="2026-01-01")
        >>> s.memory.correct(id, "the office is in Oslo", valid_from="2026-03-01")
        >>> early, late = (s.fact.db().valid_at(f"2026-0{month}-15") for month in (2, 4))
        >>> [str(s.memory.recall("office", db=db)[0]) for db in (early, late)]
        ['the office is in Paris', 'the office is in Oslo']

        Raises:
            EntityNotFound: there is no memory *id*, or it was forgotten.
            InputError: there is no word in *text*, or *why* is empty.
        """
        said = facts.readable(text)
        about = [["db/add", facts.TX, facts.CORRECTED, id]]
        if why is not None:
            about.append(["db/add", facts.TX, facts.WHY, facts.reason(why)])

        def decide(base: WriterBase) -> list[Any]:
            _holding(base.value(), id)
            return [["db/add", id, facts.TEXT, said], *about]

        self._connection.decided(decide, valid_from=valid_from, branch=self._branch)

    def forget(self, id: int, why: str) -> None:
        """Takes the memory *id* out of recall from now on, and keeps it in history with *why*.

        What is known of the past stays: `recall` with an earlier `as_of` still finds it. To take
        it out of the past too, see `s.audit.erase`.

        Raises:
            EntityNotFound: there is no memory *id*, or it was forgotten already.
            InputError: *why* is empty.
        """
        said = [
            ["db/add", facts.TX, facts.FORGOTTEN, id],
            ["db/add", facts.TX, facts.WHY, facts.reason(why)],
        ]

        def decide(base: WriterBase) -> list[Any]:
            held = _holding(base.value(), id)
            gone = {datom.a for datom in held.datoms("eavt", id)}
            return [*(["db/retract", id, a] for a in sorted(gone, key=str)), *said]

        self._connection.decided(decide, branch=self._branch)

    def _declare(self) -> None:
        schema = self._connection.db(self._branch).schema
        if missing := facts.undeclared(schema):
            self._connection.transact(missing, branch=self._branch)

    # ----------------------------------------------------------------- reading

    def recall(
        self, query: str | None = None, *, limit: int = 10, about: Any = None, db: Db | None = None
    ) -> list[Entry]:
        """The memories that share words with *query*, those that fit best first.

        Rare words count more than common ones; of equals, the shorter and then the newer text is
        first. Without a query the newest come first. *about* asks for those that speak of one
        entity. *db* is the database value to look in: with `as_of` what was remembered then.

        >>> before = s.fact.db()
        >>> _ = s.memory.remember("the pilot run starts on Monday")
        >>> len(s.memory.recall("pilot")), s.memory.recall("pilot", db=before)
        (1, [])

        Raises:
            InputError: *query* is no text, *limit* below 1, or *about* names nothing.
        """
        if query is not None and not isinstance(query, str):
            raise InputError(f"{query!r:.80} is no query", hint="give the words to look for")
        if type(limit) is not int or limit < 1:
            raise InputError(f"a limit of {limit!r}", hint="ask for at least 1 memory")
        shown = self._connection.db(self._branch) if db is None else db
        if shown.schema[facts.TEXT].entity is None:
            return []
        speaks = None if about is None else _entity(shown, about)
        if query is None:
            return _entries(shown, _newest(shown, limit, speaks))
        return _entries(shown, _fitting(shown, query, limit, speaks))

    def history(self, id: int) -> list[Change]:
        """What became of the memory *id*, the earliest first.

        >>> id = s.memory.remember("Ada is in Turin")
        >>> s.memory.forget(id, "outdated")
        >>> [(str(each.what), each.text, each.why) for each in s.memory.history(id)]
        [(':remembered', 'Ada is in Turin', None), (':forgotten', None, 'outdated')]

        Raises:
            EntityNotFound: there was never a memory *id*.
        """
        db = self._connection.db(self._branch)
        said = {}
        if db.schema[facts.TEXT].entity is not None:
            rows = db.history().q(
                "[:find ?tx ?text ?op :in $ ?m :where [?m :memory/text ?text ?tx ?op]]", id
            )
            said = {tx: text if op else None for tx, text, op in sorted(rows, key=lambda r: r[::2])}
        if not said:
            raise _unknown(id)
        return [_change(db, tx, text) for tx, text in sorted(said.items())]


def _change(db: Db, tx: int, text: str | None) -> Change:
    told = db.pull([facts.FORGOTTEN, facts.CORRECTED, facts.WHY, _INSTANT], tx)
    what = next((a for a in (facts.FORGOTTEN, facts.CORRECTED) if a in told), _REMEMBERED)
    return Change(Keyword(what.local), tx_position(tx), told[_INSTANT], text, told.get(facts.WHY))


def _holding(db: Db, id: int) -> Db:
    """What is known of now and all that comes, where the memory *id* is still to be found.

    Raises:
        EntityNotFound: it is not.
    """
    held = db.valid_between(moment(db.instant), _LAST)
    if type(id) is not int or next(held.datoms("eavt", id, facts.TEXT), None) is None:
        raise _unknown(id)
    return held


def _unknown(id: Any) -> EntityNotFound:
    return EntityNotFound(
        f"there is no memory {id!r:.80}",
        hint="s.memory.recall gives memories with their id; s.memory.history tells whether this "
        "one was forgotten",
        id=id,
    )


def _entity(db: Db, about: Any) -> int:
    found = db.entid(facts.entity(about))
    if found is None:
        raise EntityNotFound(
            f"{about!r:.80} names no entity", hint="recall without it", about=about
        )
    return found


def _newest(db: Db, limit: int, about: int | None) -> list[Ranked]:
    where = f"[?m :memory/text ?text ?tx] {_ABOUT if about is not None else ''}"
    given, names = ((about,), " ?about") if about is not None else ((), "")
    rows = db.q(f"[:find ?m ?text ?tx :in ${names} :where {where}]", *given)
    best = sorted(rows, key=lambda row: (row[2], row[0]), reverse=True)[:limit]
    return [Ranked(row, 0.0, 0) for row in best]


def _fitting(db: Db, query: str, limit: int, about: int | None) -> list[Ranked]:
    names, given = ("?word", ()) if about is None else ("?word ?about", (about,))
    where = f":in $ {names} :where {_FOUND} {'' if about is None else _ABOUT}"

    def count(word: str) -> int:
        return db.q(f"[:find (count ?m) . {where}]", word, *given) or 0

    def lookup(word: str) -> list[Row]:
        return list(db.q(f"[:find ?m ?text ?tx {where}]", word, *given))

    counts = {word: count(word) for word in dict.fromkeys(words(query))}
    common = {word for word, held in counts.items() if held > COMMON}
    return ranked(weights(counts), lookup, limit, common)


def _entries(db: Db, found: list[Ranked]) -> list[Entry]:
    pulled = db.pull_many("[*]", [each.row[0] for each in found]) if found else []
    times = dict(_times(db, {each.row[2] for each in found}))
    return [
        _entry(each, facts_of, times[each.row[2]])
        for each, facts_of in zip(found, pulled, strict=True)
    ]


def _times(db: Db, transactions: set[int]) -> list[tuple[int, Any]]:
    if not transactions:
        return []
    return list(
        db.q("[:find ?tx ?at :in $ [?tx ...] :where [?tx :db/txInstant ?at]]", [*transactions])
    )


def _entry(found: Ranked, held: Any, at: Any) -> Entry:
    e, text, _ = found.row
    own = {facts.TEXT, facts.ABOUT, facts.KIND, facts.SOURCE, Keyword("db/id")}
    about = tuple(sorted(each[Keyword("db/id")] for each in held.get(facts.ABOUT, ())))
    return Entry(
        id=e,
        text=text,
        at=at,
        about=about,
        kind=held.get(facts.KIND),
        source=held.get(facts.SOURCE),
        facts=Map({a: v for a, v in held.items() if a not in own}),
        score=found.score,
    )
