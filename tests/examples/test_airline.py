"""The airline example, on both backends, against the same questions in plain Python."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import airline
import airline_world
import pytest
from airline_questions import QUESTIONS

from persistence import FrozenClock, Substrate
from persistence.values import micros

from .plain import ANSWERS, World


@pytest.fixture(scope="session")
def data(shared_dir: Path) -> Path:
    place = shared_dir / "data" / "tau-airline"
    missing = [name for name in airline_world.FILES if not (place / name).is_file()]
    if missing:
        pytest.skip(f"{place} lacks {', '.join(missing)}: the airline files of τ-bench")
    return place


@pytest.fixture(scope="session")
def world(data: Path) -> World:
    return World.read(data)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def uri(
    request: pytest.FixtureRequest, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The URI of a store that has the airline, made by the example itself."""
    if request.param == "sqlite":
        made = str(tmp_path_factory.mktemp("airline") / "airline.db")
    else:
        base: str = request.getfixturevalue("postgres_uri")
        made = f"{base}{'&' if '?' in base else '?'}schema=airline"
    clock = FrozenClock(micros(airline_world.SNAPSHOT))
    with Substrate.open(made, clock=clock) as s:
        loaded = list(airline_world.load(s, data, clock))
    assert [(part.what, part.rows) for part in loaded] == [
        ("users", 500),
        ("flights", 300),
        ("reservations", 2000),
        ("correction", 1),
    ]
    return made


@pytest.fixture(scope="module")
def s(uri: str) -> Iterator[Substrate]:
    clock = FrozenClock(micros(airline_world.CORRECTED))
    with Substrate.open(uri, clock=clock) as substrate:
        yield substrate


def same(value: Any) -> Any:
    """Trees with text for keywords, so that JSON and pulls can be compared."""
    if isinstance(value, Mapping):
        return {str(key).removeprefix(":"): same(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [same(item) for item in value]
    return value


def test_there_are_twelve_questions_and_each_has_a_counterpart() -> None:
    assert [question.name for question in QUESTIONS] == list(ANSWERS)
    assert len(QUESTIONS) == 12


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_an_answer_is_that_of_plain_python(question: Any, s: Substrate, world: World) -> None:
    found = question.ask(s.fact.db())
    assert same(found) == same(ANSWERS[question.name](world))
    assert found, "a question without an answer proves nothing"
    assert {len(row) for row in found} == {len(question.columns)}


def test_every_status_of_every_day_is_read_back(s: Substrate, world: World) -> None:
    db = s.fact.db()
    for day in sorted(world.flights["HAT001"]["dates"]):
        found = db.valid_at(airline_world.midnight(day)).q(
            "[:find ?n ?s :where [?f :flight/number ?n] [?f :flight/status ?s]]"
        )
        assert dict(found) == {number: world.status(number, day) for number in world.flights}
    after = db.valid_at(airline_world.midnight("2024-05-31"))
    assert after.q("[:find (count ?s) . :where [_ :flight/status ?s]]") is None


def test_every_object_of_the_files_is_there(s: Substrate, world: World) -> None:
    db = s.fact.db()
    counted = {
        attribute: db.q(f"[:find (count ?e) . :where [?e :{attribute}]]")
        for attribute in ("user/email", "method/source", "reservation/cabin", "segment/date")
    }
    assert counted == {
        "user/email": len(world.users),
        "method/source": sum(len(user["payment_methods"]) for user in world.users.values()),
        "reservation/cabin": len(world.reservations),
        "segment/date": len(list(world.segments())),
    }


def test_the_correction_says_why_and_what_it_displaced(s: Substrate) -> None:
    db = s.fact.db()
    correction = airline_world.step(db, "correction")
    assert db.get(correction, "airline/reason") == airline_world.CORRECTION.reason
    told = [(str(d.a), d.v, d.added) for d in db.log(correction, correction)]
    assert (":flight/status", "landed", False) in told
    assert (":flight/status", "cancelled", True) in told


def test_the_store_is_sound_and_a_second_run_adds_nothing(s: Substrate, data: Path) -> None:
    before = s.fact.db().basis
    clock = FrozenClock(micros(airline_world.SNAPSHOT))
    assert list(airline_world.load(s, data, clock)) == []
    assert s.fact.db().basis == before
    assert s.check() == []


def test_the_program_prints_a_report(
    uri: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert airline.main(["--data", str(data), "--store", uri]) == 0
    printed = " ".join(capsys.readouterr().out.split())  # a long path breaks the line
    assert "has the airline already" in printed
    assert all(f"{number}. " in printed for number in range(1, 13))
    assert "HAT260" in printed and "cancelled" in printed


def test_the_program_speaks_json(
    uri: str, data: Path, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert airline.main(["--data", str(data), "--store", uri, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    given = {answer["name"]: answer["rows"] for answer in report["answers"]}
    assert given["busiest_routes"] == [list(row) for row in ANSWERS["busiest_routes"](world)]
    assert list(given) == list(ANSWERS)


def test_without_the_files_the_program_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "airline.db"
    assert airline.main(["--data", str(tmp_path), "--store", str(store)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path} lacks users.json, flights.json, reservations.json")
    assert "hint: " in said
    assert not store.exists()
