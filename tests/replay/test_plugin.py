"""The fixture `effects`: the first run of a test records, every later one replays."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from persistence.effects import Around, Handler, Run, Terminal, Trace
from persistence.errors import Diverged, InputError, TraceError
from persistence.replay import Cassette, EffectRecorder, replay
from persistence.values import Map
from tests.replay.agents import agent, programs
from tests.replay.test_replay import recorded

pytest_plugins = "pytester"
NAME = "persistence.replay.pytest_plugin"
INSTALLED = any(each.value == NAME for each in entry_points(group="pytest11"))
PLUGIN = ("-p", "no:cacheprovider", *(() if INSTALLED else ("-p", NAME)))

TEST = """
import asyncio, pathlib
import pytest
from persistence.effects import Around, Terminal

def find(query):
    with open("asked.txt", "a") as file:
        file.write(query)
    return [query.upper()]

tools = Terminal("tools", {"tool/find": find})

def agent(run, *queries):
    run.result = [run.perform("tool/find", query=each) for each in queries]
    run.result = [*run.result, run.random(), run.now()]
    return run.result

def test_shop(effects):
    with effects.run("shop", [tools]) as run:
        assert agent(run, "tea", "tea")[0] == ("TEA",)

@pytest.mark.parametrize("query", ["a", "b/c"])
def test_each(effects, query):
    with effects.run("each", [tools]) as run:
        agent(run, query)
    with effects.run("again", [tools]) as run:
        agent(run, query)

class TestAwaits:
    def test_await(self, effects):
        async def main():
            async with effects.arun("awaits", [tools]) as run:
                run.result = await run.perform("tool/find", query="x")
        asyncio.run(main())

def test_nothing():
    pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_it=TEST)
    return pytester


def asked(project: pytest.Pytester) -> str:
    file = project.path / "asked.txt"
    return file.read_text() if file.exists() else ""


def cassettes(project: pytest.Pytester) -> dict[str, str]:
    place = project.path / "cassettes" / "test_it"
    return {file.name: file.read_text() for file in sorted(place.glob("*"))}


def run(project: pytest.Pytester, *words: str) -> Any:
    return project.runpytest_inprocess(*PLUGIN, *words)


def test_the_first_run_records_and_later_ones_ask_nobody(project: pytest.Pytester) -> None:
    run(project).assert_outcomes(passed=5)
    first, files = asked(project), cassettes(project)
    assert sorted(first) == sorted("teatea" + "aa" + "b/cb/c" + "x")
    names = sorted(name.partition("-b")[0] for name in files)
    assert names == ["TestAwaits.test_await.edn", "test_each", "test_each-a.edn", "test_shop.edn"]
    assert '{:op :tool/find :args {:query "tea"} :result ["TEA"]}' in files["test_shop.edn"]
    for words in ((), ("--effects=replay",)):
        run(project, *words).assert_outcomes(passed=5)
        assert asked(project) == first and cassettes(project) == files
    run(project, "--effects=live").assert_outcomes(passed=5)
    assert asked(project) == first * 2 and cassettes(project) == files
    run(project, "--effects=record").assert_outcomes(passed=5)
    assert asked(project) == first * 3 and cassettes(project).keys() == files.keys()


def test_a_test_that_asks_otherwise_fails_at_the_first_divergence(project: pytest.Pytester) -> None:
    run(project).assert_outcomes(passed=5)
    before = asked(project)
    project.makepyfile(test_it=TEST.replace('"tea", "tea"', '"tea", "coffee"'))
    result = run(project)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(['*Diverged: step 1: the record holds :tool/find {:query "tea"}*'])
    assert asked(project) == before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"tea", "tea")[0]', '"tea")[0]', "step 1: the record holds :tool/find"),
        ('"tea", "tea")[0]', '"tea", "tea", "x")[0]', "step 2: the record holds :random/draw"),
        ('effects.run("shop"', 'effects.run("store"', "holds 'shop'"),
        ("return run.result", "run.result = 7; return [('TEA',)]", "the end is another"),
    ],
)
def test_every_other_difference_fails_too(
    project: pytest.Pytester, old: str, new: str, words: str
) -> None:
    run(project, "-k", "shop").assert_outcomes(passed=1)
    project.makepyfile(test_it=TEST.replace(old, new))
    result = run(project, "-k", "shop")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*Diverged: *{words}*"])


def test_a_divergence_that_the_agent_swallows_fails_the_test(project: pytest.Pytester) -> None:
    run(project, "-k", "shop").assert_outcomes(passed=1)
    swallowing = TEST.replace(
        'assert agent(run, "tea", "tea")[0] == ("TEA",)',
        "try: agent(run, 'x')\n        except Exception: pass",
    )
    project.makepyfile(test_it=swallowing)
    run(project, "-k", "shop").assert_outcomes(failed=1)
    project.makepyfile(test_it=swallowing.replace("pass\n", "raise ValueError\n", 1))
    result = run(project, "-k", "shop")
    result.stdout.fnmatch_lines(["*effects*", "*step 0: the record holds*"])


def test_more_or_fewer_runs_than_recorded_fail(project: pytest.Pytester) -> None:
    run(project, "-k", "each").assert_outcomes(passed=2)
    second = TEST.index('    with effects.run("again"')
    fewer = TEST[:second] + TEST[TEST.index("class TestAwaits") :]
    project.makepyfile(test_it=fewer)
    run(project, "-k", "each").assert_outcomes(failed=2)


def test_a_test_that_fails_records_nothing(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=TEST.replace('== ("TEA",)', "is None"))
    run(project, "-k", "shop").assert_outcomes(failed=1)
    assert cassettes(project) == {}


def test_a_cassette_that_is_not_there_or_of_another_version_is_told(
    project: pytest.Pytester,
) -> None:
    result = run(project, "--effects=replay", "-k", "shop")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*TraceError*test_shop.edn cannot be read: No such file*"])
    run(project, "-k", "shop").assert_outcomes(passed=1)
    (file,) = (project.path / "cassettes" / "test_it").iterdir()
    file.write_text(file.read_text().replace(":cassette 1", ":cassette 2"))
    result = run(project, "-k", "shop")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*TraceError*of version 2*"])


def test_workers_of_xdist_record_and_replay(project: pytest.Pytester) -> None:
    for _ in range(2):
        project.runpytest_subprocess(*PLUGIN, "-n", "2").assert_outcomes(passed=5)
    assert sorted(asked(project)) == sorted("teatea" + "aa" + "b/cb/c" + "x")
    assert len(cassettes(project)) == 4, "and no half-written file is left"


def test_what_is_redacted_is_not_in_the_file(tmp_path: Path) -> None:
    def hide(op: Any, value: Any) -> Any:
        if isinstance(value, Map):
            return Map({key: "***" if key.name == "token" else v for key, v in value.items()})
        return "***"

    for _ in range(2):
        effects = EffectRecorder(tmp_path / "a.edn", "test_a")
        tools: list[Handler] = [
            Around("hide", redact=hide),
            Terminal("t", {"tool/log": lambda token: token}),
        ]
        with effects.run("a", tools) as run:
            run.perform("tool/log", token="secret")
        effects.finish()
    assert effects.mode == "replay" and "secret" not in (tmp_path / "a.edn").read_text()


def test_the_plugin_imports_nothing_of_the_store() -> None:
    code = (
        "import sys, persistence.replay.pytest_plugin\n"
        "print([m for m in sys.modules if m.startswith('persistence.') and 'replay' not in m])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


# ------------------------------------------------------------------------- cassettes


@given(programs(state=False))
def test_a_run_in_a_file_is_the_same_run(program: list[Any]) -> None:
    trace = recorded(program)
    cassette = Cassette((trace, trace))
    (again, _) = Cassette.read(cassette.text).runs
    assert again.encoded == trace.encoded and again.digest == trace.digest
    assert Cassette.read(cassette.text).text == cassette.text
    assert replay(again, agent(program)).same
    assert ":n " not in cassette.text and ":at " not in cassette.text


def test_a_run_that_was_broken_off_is_kept_as_it_was(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Run("r", [Terminal("t", {"tool/stop": stop})]) as run:
        run.perform("tool/stop")
    trace: Trace = run.trace
    Cassette((trace,)).save(tmp_path / "deep" / "r.edn")
    assert Cassette.load(tmp_path / "deep" / "r.edn").runs[0].encoded == trace.encoded


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "its first form"),
        ("{:cassette 1", "line 1"),
        ("{:cassette 9 :trace 1}", "of version 9"),
        ("{:cassette 1 :trace 9}", "traces of 9"),
        ("{:cassette 1 :trace 1} 7", "form 2 is no map"),
        ("{:cassette 1 :trace 1} {:op :a/b :args {}}", "a step without a run"),
        ('{:cassette 1 :trace 1} {:run "a"}', "is no run"),
        ('{:cassette 1 :trace 1} {:run "a"} {:op :a/b}', "is no step"),
        ('{:cassette 1 :trace 1} {:run "a"} {:op :a/b :args {} :status :odd}', "is no step"),
        ('{:cassette 1 :trace 1} {:run "a"} {:op :a/b :args {} :status :failed}', "is no step"),
        ('{:cassette 1 :trace 1} {:run "a"} {:op :a/b :args {} :place "x"}', "is no step"),
        ('{:cassette 1 :trace 1} {:run "a"} {:op :a/b :args {} :place -1}', "is no step"),
        ('{:cassette 1 :trace 1} {:run "a"} {:op :a/b :args {} :occurrence 1.0}', "is no step"),
        (
            '{:cassette 1 :trace 1} {:run "a"} {:op :a/b :args {} :status :failed :error {}}',
            "is no step",
        ),
        ("{:cassette 1 :trace 1} {:run a :id 1 :status :done}", "is no run"),
        ('{:cassette 1 :trace 1} {:run "a" :id "1" :status :done}', "is no run"),
    ],
)
def test_a_damaged_cassette_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.edn").write_text(text)
    with pytest.raises(TraceError, match=message):
        Cassette.load(tmp_path / "a.edn")
    (tmp_path / "a.edn").write_bytes(b"\xff\xfe")
    with pytest.raises(TraceError, match="UTF-8"):
        Cassette.load(tmp_path / "a.edn")


def test_a_mode_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'twice'"):
        EffectRecorder(tmp_path / "a.edn", "a", "twice")
    with pytest.raises(TraceError):
        EffectRecorder(tmp_path / "a.edn", "a", "replay")
    assert not issubclass(TraceError, Diverged)
