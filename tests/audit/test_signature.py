"""Strict Ed25519: what others sign holds, and nothing that two verifiers could disagree about."""

from __future__ import annotations

from collections.abc import Iterator

import cryptography_vectors
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from persistence.audit import signature
from persistence.audit.signature import SignatureError, check, problem, public_bytes, sign
from tests.audit import edwards
from tests.audit.edwards import SMALL, B, L, P, add, challenge, encode, negative, spellings, times

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = public_bytes(KEY)
SCALAR = 2**251 + 12345  # a private scalar whose point the tests may shift by small ones
MESSAGES = [b"message %d" % n for n in range(200)]


def lenient(public: bytes, signed: bytes, message: bytes) -> bool:
    """What `cryptography` alone says."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signed, message)
    except InvalidSignature:
        return False
    return True


def scalar_bytes(scalar: int) -> bytes:
    return scalar.to_bytes(32, "little")


def signed_by_others() -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    with cryptography_vectors.open_vector_file("asymmetric/Ed25519/sign.input", "r") as lines:
        for line in lines:
            seed, public, message, signed, _ = line.split(":")
            yield (
                bytes.fromhex(seed)[:32],
                bytes.fromhex(public),
                bytes.fromhex(message),
                bytes.fromhex(signed)[:64],
            )


def under_small_keys() -> Iterator[tuple[bytes, bytes, bytes]]:
    """For every spelling of a key of small order, a signature that fits without a private key."""
    chosen = times(7, B)
    for point in SMALL:
        for public in spellings(point):
            yield next(
                (public, r + scalar_bytes(7), message)
                for message in MESSAGES
                for n in range(8)
                if challenge(r := encode(add(chosen, times(n, point))), public, message) % 8
                == -n % 8
            )


def with_small_r() -> Iterator[tuple[bytes, bytes, bytes]]:
    """For every point of small order, a signature with that R under a key that signs at will."""
    for point in SMALL:
        r = encode(point)
        for shift in SMALL:
            public = encode(add(times(SCALAR, B), shift))
            for message in MESSAGES[:20]:
                h = challenge(r, public, message)
                if times(h % 8, shift) == negative(point):
                    yield public, r + scalar_bytes(h * SCALAR % L), message
                    break


def test_the_vectors_of_others_hold_and_are_made_the_same() -> None:
    count = 0
    for seed, public, message, signed in signed_by_others():
        private = Ed25519PrivateKey.from_private_bytes(seed)
        assert public_bytes(private) == public
        assert sign(private, message) == signed
        assert problem(public, signed, message) is None
        assert problem(public, signed, message + b"!") is not None
        count += 1
    assert count == 1024


def test_the_eight_small_points_are_the_ones_that_are_refused() -> None:
    assert len(set(SMALL)) == 8 and all(times(8, point) == edwards.ZERO for point in SMALL)
    below_p = {
        spelling
        for point in SMALL
        for spelling in spellings(point)
        if int.from_bytes(spelling, "little") % 2**255 < P
    }
    assert below_p == signature._SMALL_ORDER


def test_a_key_of_small_order_is_refused_in_every_spelling() -> None:
    cases = list(under_small_keys())
    assert len(cases) == 14
    for public, signed, message in cases:
        assert lenient(public, signed, message), "cryptography alone refuses it already"
        found = problem(public, signed, message)
        assert found is not None and found.startswith("the public key is")


def test_one_signature_under_a_small_key_would_hold_for_every_message() -> None:
    public = encode(edwards.ZERO)
    signed = public + bytes(32)
    for message in MESSAGES:
        assert lenient(public, signed, message)
        assert problem(public, signed, message) == "the public key is a point of small order"


def test_a_small_r_is_refused() -> None:
    cases = list(with_small_r())
    assert {signed[:32] for _, signed, _ in cases} == {encode(point) for point in SMALL}
    for public, signed, message in cases:
        assert lenient(public, signed, message), "cryptography alone refuses it already"
        assert problem(public, signed, message) == "the signature's R is a point of small order"


def test_a_key_of_mixed_order_counts_where_the_equation_holds_exactly() -> None:
    verdicts = set()
    for shift in SMALL[1:]:
        public = encode(add(times(SCALAR, B), shift))
        r = encode(times(7, B))
        for message in MESSAGES[:20]:
            s = (7 + challenge(r, public, message) * SCALAR) % L
            signed = r + scalar_bytes(s)
            holds = problem(public, signed, message) is None
            assert holds == lenient(public, signed, message)
            verdicts.add(holds)
    assert verdicts == {True, False}


@pytest.mark.parametrize("y", range(P, 2**255))
@pytest.mark.parametrize("sign_bit", [0, 1])
def test_a_y_from_p_on_is_refused_as_key_and_as_r(y: int, sign_bit: int) -> None:
    point = (y | sign_bit << 255).to_bytes(32, "little")
    signed = sign(KEY, b"tea")
    as_key, as_r = problem(point, signed, b"tea"), problem(PUBLIC, point + signed[32:], b"tea")
    assert as_key is not None and "the public key is not canonical" in as_key
    assert as_r is not None and "R is not canonical" in as_r


@pytest.mark.parametrize("y", [P - 1, P - 2, 2**255 - 256, 2**254])
def test_a_y_below_p_is_not_taken_for_one_beyond(y: int) -> None:
    point = y.to_bytes(32, "little")
    assert "not canonical" not in str(problem(point, bytes(64), b""))


@pytest.mark.parametrize("times_over", range(1, 15))
def test_s_plus_the_order_is_refused(times_over: int) -> None:
    signed = sign(KEY, b"tea")
    s = int.from_bytes(signed[32:], "little") + times_over * L
    found = problem(PUBLIC, signed[:32] + scalar_bytes(s), b"tea")
    assert found == "the signature's S is not below the order of the group"


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65])
def test_other_lengths_are_refused(length: int) -> None:
    signed = sign(KEY, b"tea")
    assert problem(bytes(length), signed, b"tea") == f"a public key has 32 bytes, not {length}"
    assert problem(PUBLIC, bytes(length), b"tea") == f"a signature has 64 bytes, not {length}"


def test_check_says_what_problem_says_and_with_which_bytes() -> None:
    signed = sign(KEY, b"tea")
    check(PUBLIC, signed, b"tea")
    with pytest.raises(SignatureError, match="does not belong to this key") as refused:
        check(PUBLIC, signed, b"coffee")
    assert refused.value.data == {
        "public": PUBLIC,
        "signature": signed,
        "reason": problem(PUBLIC, signed, b"coffee"),
    }


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80))
def test_any_bytes_get_an_answer(public: bytes, signed: bytes, message: bytes) -> None:
    assert isinstance(problem(public, signed, message), str)


@given(st.binary(min_size=32, max_size=32), st.binary(), st.integers(0, 511), st.booleans())
def test_for_honest_keys_the_strict_and_the_lenient_agree(
    seed: bytes, message: bytes, bit: int, tamper: bool
) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = public_bytes(private)
    signed = sign(private, message)
    if tamper:
        flipped = int.from_bytes(signed, "little") ^ 1 << bit
        signed = flipped.to_bytes(64, "little")
    assert (problem(public, signed, message) is None) is (not tamper)
    assert lenient(public, signed, message) is (not tamper)


def test_a_stranger_with_many_keys_does_not_fill_the_memory() -> None:
    for n in range(signature.KEYS_CACHED + 50):
        problem(n.to_bytes(32, "big"), bytes(64), b"")
    assert signature._key.cache_info().currsize == signature.KEYS_CACHED
