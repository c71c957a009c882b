"""The curve of Ed25519 in plain integers (RFC 8032 section 5.1), slow and easy to read.

With it the tests make signatures that no honest signer would: under keys of small or mixed
order, in other spellings, with S beyond the group's order.
"""

from __future__ import annotations

from hashlib import sha512
from typing import Final

Point = tuple[int, int]

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
ZERO: Final = (0, 1)


def add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P
    return x, y


def negative(point: Point) -> Point:
    return -point[0] % P, point[1]


def times(factor: int, point: Point) -> Point:
    found = ZERO
    while factor:
        if factor & 1:
            found = add(found, point)
        point = add(point, point)
        factor >>= 1
    return found


def x_of(y: int) -> int | None:
    """An x at the height *y*, the even one; None where the curve has no point."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None
    return P - x if x % 2 else x


def encode(point: Point) -> bytes:
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def spellings(point: Point) -> list[bytes]:
    """Every encoding that a lenient reader takes for *point*; the canonical one is first."""
    x, y = point
    signs = (x & 1,) if x else (0, 1)
    heights = (y, y + P) if y + P < 2**255 else (y,)
    return [(height | sign << 255).to_bytes(32, "little") for height in heights for sign in signs]


def challenge(r: bytes, a: bytes, message: bytes) -> int:
    """What a verifier multiplies the key by; first reduced, which small parts of a key notice."""
    return int.from_bytes(sha512(r + a + message).digest(), "little") % L


def base() -> Point:
    y = 4 * pow(5, -1, P) % P
    x = x_of(y)
    assert x is not None
    return x, y


def torsion() -> list[Point]:
    """The eight points of small order: the multiples of one of order 8."""
    for y in range(2, 100):
        x = x_of(y)
        if x is None:
            continue
        point = times(L, (x, y))
        if times(4, point) != ZERO:
            return [times(n, point) for n in range(8)]
    raise AssertionError("none of the first points has a part of order 8")


B: Final = base()
SMALL: Final = torsion()
