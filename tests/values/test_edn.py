"""The reader takes the EDN specification and no more, and says where it stopped."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from fractions import Fraction
from typing import Any

import attrs
import edn_format
import pytest
from hypothesis import given
from hypothesis import strategies as st

from persistence.errors import EdnError, ValueRefused
from persistence.values import (
    LIMITS,
    Char,
    Keyword,
    List,
    Map,
    Set,
    Symbol,
    Tagged,
    identity,
    read,
    read_all,
    write,
)
from tests.values.strategies import values

K, S = Keyword, Symbol
UTC = dt.UTC


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-0", 0),
        ("+7", 7),
        ("12N", 12),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ("1.5", 1.5),
        ("-0.0", -0.0),
        ("1e3", 1000.0),
        ("1.5E-3", 0.0015),
        ("1e-999", 0.0),
        ("##Inf", float("inf")),
        ("##-Inf", float("-inf")),
        ("##NaN", float("nan")),
        ("1M", Decimal("1")),
        ("1.50M", Decimal("1.50")),
        ("-0.0M", Decimal("-0.0")),
        ("1e5M", Decimal("1E+5")),
        ("1e-00000000003M", Decimal("0.001")),
        ("1/2", Fraction(1, 2)),
        ("-3/6", Fraction(-1, 2)),
        ("4/2", 2),
        ('""', ""),
        ('"a\nb"', "a\nb"),
        (r'"\t\r\n\\\""', '\t\r\n\\"'),
        (r'"\u0041\u00e9"', "Aé"),
        (r'"\ud83d\ude00"', "😀"),
        ('"a;b #_ , ["', "a;b #_ , ["),
        (r"\a", Char("a")),
        (r"\u", Char("u")),
        (r"\n", Char("n")),
        (r"\newline", Char("\n")),
        (r"\return", Char("\r")),
        (r"\space", Char(" ")),
        (r"\tab", Char("\t")),
        (r"\formfeed", Char("\f")),
        (r"\backspace", Char("\b")),
        (r"\u03bb", Char("λ")),
        (r"\λ", Char("λ")),
        (r"\😀", Char("😀")),
        (r"[\( \] \; \"]", (Char("("), Char("]"), Char(";"), Char('"'))),
        ("[\\a]", (Char("a"),)),
        (":a", K("a")),
        (":user/name", K("user/name")),
        (":-a", K("-a")),
        (":nil", K("nil")),
        ("/", S("/")),
        (".", S(".")),
        ("...", S("...")),
        ("+-1", S("+-1")),
        ("a#", S("a#")),
        ("+", S("+")),
        ("-", S("-")),
        ("-foo", S("-foo")),
        ("->", S("->")),
        ("<=", S("<=")),
        ("!=", S("!=")),
        ("%", S("%")),
        ("$", S("$")),
        ("&", S("&")),
        ("?e", S("?e")),
        ("_", S("_")),
        ("a:b#c", S("a:b#c")),
        ("foo.bar/baz", S("foo.bar/baz")),
        ("größe", S("größe")),
        ("()", List()),
        ("(1 [2])", List((1, (2,)))),
        ("[1,2,,3]", (1, 2, 3)),
        ("{}", Map()),
        ("{:a 1 1 :b}", Map([(K("a"), 1), (1, K("b"))])),
        ("{1 :i 1.0 :f true :b}", Map([(1, K("i")), (1.0, K("f")), (True, K("b"))])),
        ("#{}", Set()),
        ("#{1 1.0 true 1M}", Set([1, 1.0, True, Decimal(1)])),
        ("[#{1}#{2}{}()[]]", (Set([1]), Set([2]), Map(), List(), ())),
        ("[1 #_2 3]", (1, 3)),
        ("[1 #_ #_ 2 3 4]", (1, 4)),
        ("[1 #_#_2 3]", (1,)),
        ("#_1 2", 2),
        ("2 #_1", 2),
        ("{:a #_1 2}", Map({K("a"): 2})),
        ("; c\n1 ; d", 1),
        ("[;]\n1]", (1,)),
        ('#uuid "00000000-0000-000A-0000-00000000000b"', uuid.UUID(int=10 << 64 | 11)),
        ('#bytes "aGk="', b"hi"),
        ('#bytes ""', b""),
        ("\t\r\n\f, 1 ,", 1),
    ],
)  # fmt: skip
def test_valid_text_reads_as_its_value(text: str, value: Any) -> None:
    found = read(text)
    assert type(found) is type(value)
    assert identity(found) == identity(value)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1985-04-12T23:20:50.52Z", dt.datetime(1985, 4, 12, 23, 20, 50, 520000, UTC)),
        ("1996-12-19T16:39:57-08:00", dt.datetime(1996, 12, 20, 0, 39, 57, tzinfo=UTC)),
        ("2020-01-01t00:00:00z", dt.datetime(2020, 1, 1, tzinfo=UTC)),
        ("2020-01-01T00:00:00.123456000Z", dt.datetime(2020, 1, 1, 0, 0, 0, 123456, UTC)),
        ("0001-01-01T00:00:00Z", dt.datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999999Z", dt.datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
    ],
)
def test_instants_are_read_to_the_microsecond(text: str, instant: dt.datetime) -> None:
    found = read(f'#inst "{text}"')
    assert found == instant
    assert found.utcoffset() == dt.timedelta(0)


# (text, line, column, words of the message)
REFUSED = [
    ("", 1, 1, "no form"),
    ("  ; only a comment", 1, 19, "no form"),
    ("#_1", 1, 4, "no form"),
    ("1 2", 1, 3, "second"),
    ("1\n\n[2]", 3, 1, "second"),
    ('"a" #foo', 1, 5, "no value"),
    ("[1 2", 1, 1, "never closed"),
    ("[1\n (2 {3 4]", 2, 9, "cannot close the { of line 2, column 5"),
    (")", 1, 1, "closes nothing"),
    ("[1 2)", 1, 5, "cannot close the ["),
    ("{:a}", 1, 1, "without a value"),
    ("[\n{:a 1 :b}]", 2, 1, "without a value"),
    ("{:a 1 :b 2 :a 3}", 1, 12, "comes twice"),
    ("{1 :a 1.0 :b #_ 5 1 :c}", 1, 19, "comes twice"),
    ("#{[1] #{} [ 1]}", 1, 11, "comes twice"),
    ("#{1\n 1}", 2, 2, "comes twice"),
    ("#{##NaN ##NaN}", 1, 9, "comes twice"),
    ('{"a" 1 "\\u0061" 2}', 1, 8, "comes twice"),
    ("#_", 1, 1, "nothing to discard"),
    ("[1 #_]", 1, 4, "nothing to discard"),
    ("[#_ #_ 1]", 1, 2, "nothing to discard"),
    ("[#foo]", 1, 2, "no value"),
    ("#foo 1", 1, 1, "nothing reads the tag #foo"),
    ("[1 #a/b {}]", 1, 4, "nothing reads the tag #a/b"),
    ("#a/b/c 1", 1, 1, "no EDN symbol"),
    ("#1 2", 1, 1, "no EDN token"),
    ("#", 1, 1, "no EDN token"),
    ("# foo 1", 1, 1, "no EDN token"),
    ("#-a 1", 1, 1, "no EDN token"),
    ("##Nan", 1, 1, "no EDN token"),
    ("##+Inf", 1, 1, "no EDN token"),
    ("#:a{:b 1}", 1, 1, "no EDN token"),
    ("#'a", 1, 1, "no EDN token"),
    ('#"re"', 1, 1, "no EDN token"),
    ("#(f)", 1, 1, "no EDN token"),
    ('"abc', 1, 1, "never closed"),
    ('[1\n "abc]', 2, 2, "never closed"),
    ('"a\\', 1, 1, "never closed"),
    ('"\\q"', 1, 1, "no escape"),
    ('"\\b"', 1, 1, "no escape"),
    ('"\\u12"', 1, 1, "no escape"),
    ('"\\x41"', 1, 1, "no escape"),
    ('"\\ud800"', 1, 1, "lone surrogate"),
    ('"\\ude00\\ud83d"', 1, 1, "lone surrogate"),
    ('["a" "\ud800"]', 1, 7, "lone surrogate"),
    ("\\ud800", 1, 1, "lone surrogate"),
    ("\\", 1, 1, "no EDN character"),
    ("\\ a", 1, 1, "no EDN character"),
    ("\\,", 1, 1, "no EDN character"),
    ("\\ab", 1, 1, "no EDN character"),
    ("\\newlines", 1, 1, "no EDN character"),
    ("\\u12345", 1, 1, "no EDN character"),
    ("\\o17", 1, 1, "no EDN character"),
    ("01", 1, 1, "no EDN number"),
    ("-007", 1, 1, "no EDN number"),
    ("1.", 1, 1, "no EDN number"),
    (".5", 1, 1, "no EDN symbol"),
    ("1.e5", 1, 1, "no EDN number"),
    ("1e", 1, 1, "no EDN number"),
    ("1.5N", 1, 1, "no EDN number"),
    ("1MN", 1, 1, "no EDN number"),
    ("0x1F", 1, 1, "no EDN number"),
    ("1_000", 1, 1, "no EDN number"),
    ("2r101", 1, 1, "no EDN number"),
    ("1a", 1, 1, "no EDN number"),
    ("٣", 1, 1, "no EDN symbol"),
    ("1٣", 1, 1, "no EDN number"),
    ("1/0", 1, 1, "denominator is zero"),
    ("1/-2", 1, 1, "no EDN number"),
    ("1/02", 1, 1, "no EDN number"),
    ("1/2M", 1, 1, "no EDN number"),
    ("1e999", 1, 1, "too large for a float"),
    ("[1e999999999M]", 1, 2, "exponent is at most"),
    ("1e-99999999999999999999M", 1, 1, "exponent is at most"),
    ("1e6145M", 1, 1, "exponent is at most"),
    ("9" * 4097, 1, 1, "at most 4096 digits"),
    ("0." + "1" * 5000, 1, 1, "at most 4096 digits"),
    ("1/" + "9" * 4097, 1, 1, "at most 4096 digits"),
    ("[" * 257, 1, 257, "nest at most 256"),
    ("#_ " * 300 + "1", 1, 769, "nest at most 256"),
    ("#a " * 300 + "1", 1, 769, "nest at most 256"),
    (":", 1, 1, "no EDN keyword"),
    ("::a", 1, 1, "no EDN keyword"),
    (":/", 1, 1, "no EDN keyword"),
    (":/a", 1, 1, "no EDN keyword"),
    (":a/", 1, 1, "no EDN keyword"),
    (":a/b/c", 1, 1, "no EDN keyword"),
    (":1", 1, 1, "no EDN keyword"),
    (":a/1", 1, 1, "no EDN keyword"),
    ("a/b/c", 1, 1, "no EDN symbol"),
    ("/a", 1, 1, "no EDN symbol"),
    ("a/", 1, 1, "no EDN symbol"),
    ("-1a", 1, 1, "no EDN number"),
    (".1a", 1, 1, "no EDN symbol"),
    ("'a", 1, 1, "no EDN symbol"),
    ("`a", 1, 1, "no EDN symbol"),
    ("~a", 1, 1, "no EDN symbol"),
    ("@a", 1, 1, "no EDN symbol"),
    ("^:a b", 1, 1, "no EDN symbol"),
    ("a|b", 1, 1, "no EDN symbol"),
    ("a\x00", 1, 1, "no EDN symbol"),
    ("\x00", 1, 1, "no EDN symbol"),
    ("\x1b[0m", 1, 1, "no EDN symbol"),
    ("\ufeff1", 1, 1, "no EDN symbol"),
    ("1\xa02", 1, 1, "no EDN number"),
    ("a\u2028b", 1, 1, "no EDN symbol"),
    ('"a"b', 1, 1, "followed by"),
    ('"a""b"', 1, 1, "followed by"),
    ('[a"b"]', 1, 2, "no EDN symbol"),
    ("[a\\b]", 1, 2, "no EDN symbol"),
    ('#inst"2020-01-01T00:00:00Z"', 1, 1, "no EDN symbol"),
    ('#inst "2020-01-01"', 1, 1, "no RFC 3339"),
    ('#inst "2020-01-01T00:00:00"', 1, 1, "no RFC 3339"),
    ('#inst "2020-01-01 00:00:00Z"', 1, 1, "no RFC 3339"),
    ('#inst "2020-01-01T00:00Z"', 1, 1, "no RFC 3339"),
    ('#inst "2020-01-01T00:00:00+0100"', 1, 1, "no RFC 3339"),
    ('#inst "2020-02-30T00:00:00Z"', 1, 1, "day is out of range"),
    ('#inst "2016-12-31T23:59:60Z"', 1, 1, "second must be in"),
    ('#inst "2020-01-01T24:00:00Z"', 1, 1, "no RFC 3339"),
    ('#inst "2020-01-01T00:00:00+24:00"', 1, 1, "no RFC 3339"),
    ('#inst "0000-01-01T00:00:00Z"', 1, 1, "year 0 is out of range"),
    ('#inst "0001-01-01T00:00:00+01:00"', 1, 1, "out of range"),
    ('#inst "2020-01-01T00:00:00.1234567Z"', 1, 1, "finer than a microsecond"),
    ("#inst 5", 1, 1, "no RFC 3339"),
    ('#uuid "F81D4FAE7DEC11D0A76500A0C91E6BF6"', 1, 1, "no UUID"),
    ('#uuid "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}"', 1, 1, "no UUID"),
    ("#uuid 5", 1, 1, "no UUID"),
    ('#bytes "aGk"', 1, 1, "no base64"),
    ('#bytes "aGl="', 1, 1, "no base64"),
    ('#bytes "a Gk="', 1, 1, "no base64"),
    ('#bytes "aGk=\\n"', 1, 1, "no base64"),
    ('#bytes "é"', 1, 1, "no base64"),
    ("#bytes [1]", 1, 1, "no base64"),
]


@pytest.mark.parametrize(("text", "line", "column", "words"), REFUSED)
def test_invalid_text_is_refused_with_its_place(
    text: str, line: int, column: int, words: str
) -> None:
    with pytest.raises(EdnError) as caught:
        read(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert words in caught.value.message


LENIENT = {"{:a 1 :b 2 :a 3}", "#{1\n 1}", "1 2", "01", "1.", "a/b/c", '"a""b"', "1e999", '"\\q"'}


def _accepted_by_edn_format(text: str) -> bool:
    try:
        edn_format.loads(text)
    except Exception:
        return False
    return True


def test_what_edn_format_lets_through_is_refused_here() -> None:
    """The reason for a reader of our own: its oracle takes much that is not EDN."""
    lenient = {row[0] for row in REFUSED if _accepted_by_edn_format(row[0])}
    assert len(lenient) >= 20
    assert lenient >= LENIENT


_plain = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
        st.sampled_from([K("a"), K("user/name"), S("?e"), S("foo/bar")]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(List),
        st.dictionaries(
            st.sampled_from([K("a"), K("b/c"), "x", "y", S("s")]), inner, max_size=4
        ).map(Map),
    ),
    max_leaves=10,
)


def _from_oracle(value: Any) -> Any:
    """edn_format's value in our types."""
    if isinstance(value, edn_format.Keyword):
        return K(str(value)[1:])
    if isinstance(value, edn_format.Symbol):
        return S(str(value))
    if isinstance(value, edn_format.immutable_dict.ImmutableDict):
        return Map((_from_oracle(key), _from_oracle(item)) for key, item in value.items())
    if isinstance(value, tuple):
        return List(_from_oracle(item) for item in value)
    if isinstance(value, edn_format.immutable_list.ImmutableList):
        return tuple(_from_oracle(item) for item in value)
    return value


@given(_plain)
def test_plain_data_reads_as_edn_format_reads_it(value: Any) -> None:
    text = write(value)
    assert identity(read(text)) == identity(_from_oracle(edn_format.loads(text)))


@given(values)
def test_reading_undoes_writing(value: Any) -> None:
    text = write(value)
    again = read(text, default=Tagged)
    assert identity(again) == identity(value)
    assert write(again) == text


@given(values, st.integers(1, 60))
def test_pretty_text_reads_as_the_same_value(value: Any, width: int) -> None:
    text = write(value, pretty=True, width=width)
    assert identity(read(text, default=Tagged)) == identity(value)


@given(st.lists(values, max_size=5))
def test_read_all_gives_every_form_in_turn(forms: list[Any]) -> None:
    text = " ; between\n".join(write(form) for form in forms)
    assert identity(list(read_all(text, default=Tagged))) == identity(forms)


@given(st.text(alphabet='()[]{}#_"\\;:/+-.0123456789aeMN ,\n~^', max_size=30))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        value = read(text, default=Tagged)
    except EdnError as error:
        assert 1 <= error.line <= text.count("\n") + 1
        assert 1 <= error.column <= len(text) + 1
    else:
        assert identity(read(write(value), default=Tagged)) == identity(value)


def _outcome(text: str) -> Any:
    try:
        return identity(read(text, default=Tagged))
    except EdnError as error:
        return "nothing" if "there is no form" in error.message else error.message


@given(st.text(alphabet='()[]{}#_"|;:/-.012aeMN ,\n~\x0b\x1f\x00\x85\xa0é', max_size=30))
def test_plain_and_intricate_text_are_cut_alike(text: str) -> None:
    """A comment makes the regular expression cut what `str.split` would cut without it."""
    assert _outcome(text) == _outcome(text + "\n;")


@pytest.mark.parametrize(
    "text",
    ['|"', '|""', 'a"b"', '"a"|"b"', '["a""b"]', '"a"foo"b"', '[1 |"|" 2]', '"a"#_"b"', '#a"b"',
     '"a" |" "b"', '{:a"b"}', "1\x1f2", "[1\x0b2]", '"\x1f" 1', '["a"|]', '"a"\t"b"'],
)  # fmt: skip
def test_strings_are_told_from_what_only_looks_like_the_place_of_one(text: str) -> None:
    assert _outcome(text) == _outcome(text + "\n;")


@given(values)
def test_values_are_read_alike_however_their_text_is_cut(value: Any) -> None:
    text = write(value)
    assert _outcome(text) == _outcome(text + "\n;") == identity(value)


def test_writing_is_the_same_whatever_the_order_things_were_put_in() -> None:
    assert write({"b": 1, "a": {3, 1, 2}}) == write({"a": {2, 3, 1}, "b": 1})
    assert write({"b": 1, "a": {3, 1, 2}}) == '{"a" #{1 2 3} "b" 1}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\x00\x1f\x7f\x9f\u2028\ufeff", r'"\u0000\u001f\u007f\u009f\u2028\ufeff"'),
        ("😀λ", '"😀λ"'),
        (Char(","), r"\u002c"),
        (Char("\x00"), r"\u0000"),
        (Char(" "), r"\space"),
        (Decimal("1E+5"), "1E+5M"),
        (Decimal("-0.00"), "-0.00M"),
        (1e16, "1e+16"),
        (dt.datetime(2020, 1, 1, 0, 0, 0, 5, UTC), '#inst "2020-01-01T00:00:00.000005Z"'),
        (dt.datetime(33, 1, 1, tzinfo=UTC), '#inst "0033-01-01T00:00:00Z"'),
        (Tagged("a/b", [K("c")]), "#a/b [:c]"),
        ([1, List([2])], "[1 (2)]"),
    ],
)
def test_writing(value: Any, text: str) -> None:
    assert write(value) == text
    assert identity(read(text, default=Tagged)) == identity(value)


def test_pretty_breaks_long_lines_by_entry() -> None:
    value = Map({K("name"): "Ada", K("tags"): [K("one"), K("two")]})
    assert write(value, pretty=True, width=20) == '{:name "Ada"\n :tags [:one :two]}'
    assert write(value, pretty=True) == write(value)


def test_readers_and_default_turn_tagged_forms_into_values() -> None:
    readers = {"money": lambda value: Decimal(value), "pair": list}
    assert read('#money "3.50"', readers=readers) == Decimal("3.50")
    assert read("[#pair (1 2)]", readers=readers) == ((1, 2),)
    assert read("#x #y 1", default=Tagged) == Tagged("x", Tagged("y", 1))
    assert read("#x #y 1", default=lambda tag, value: f"{tag}={value}") == "x=y=1"


def test_a_reader_that_refuses_gives_an_error_with_its_place() -> None:
    def refuse(value: Any) -> Any:
        raise ValueError("no such currency")

    with pytest.raises(EdnError) as caught:
        read("[1\n  #money 3]", readers={"money": refuse})
    assert (caught.value.line, caught.value.column) == (2, 3)
    assert "no such currency" in caught.value.message
    with pytest.raises(EdnError, match="object is no EDN value"):
        read("#x 1", readers={"x": lambda _: object()})


def test_only_text_is_read() -> None:
    with pytest.raises(TypeError):
        read(b"1")  # type: ignore[arg-type]


def test_nesting_is_a_limit_and_never_a_crash() -> None:
    deep = attrs.evolve(LIMITS, nesting=100_000)
    text = "[" * 50_000 + "]" * 50_000
    assert type(read(text, limits=deep)) is tuple
    with pytest.raises(EdnError) as caught:
        read(text)
    assert caught.value.data["limit"] == "nesting"
    assert read("[" * 256 + "]" * 256)


def test_errors_in_read_all_come_when_they_are_reached() -> None:
    forms = read_all("1 2 ]")
    assert [next(forms), next(forms)] == [1, 2]
    with pytest.raises(EdnError):
        next(forms)


def test_what_cannot_be_written_is_refused_by_path() -> None:
    with pytest.raises(ValueRefused, match=r"at \['a'\]\[1\]"):
        write({"a": [1, object()]})
