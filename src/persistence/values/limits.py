"""Every limit in one table, because a limit that is stated nowhere is met by a crash.

Limits are checked before anything is allocated, and each refusal names the one it met.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Limits:
    """What is allowed; the comment on each line is its reason.

    >>> LIMITS.nesting
    256
    >>> attrs.evolve(LIMITS, nesting=8).nesting
    8
    """

    value_bytes: int = 16 * 1024 * 1024  # one value is one row: Postgres and SQLite slow down above
    inline_chars: int = 256  # a longer payload would bloat every index page; it is interned
    nesting: int = 256  # far beyond written data, and well inside Python's call stack
    number_digits: int = 4096  # below CPython's own guard (4300) against quadratic conversions
    exponent: int = 6144  # the range of IEEE 754 decimal128; 1e999999999M must not allocate
    transaction_datoms: int = 1_000_000  # one transaction is prepared in memory, about 1 GB at most
    header_bytes: int = 65_535  # a log leaf has a 16-bit length in tlog-tiles entry bundles
    query_seconds: float = 30.0  # longer than any interactive read, shorter than a stuck worker
    query_rows: int = 10_000_000  # a result that no longer fits in memory as Python tuples
    query_chars: int = 65_536  # a query is a program somebody wrote, not data
    rule_iterations: int = 100_000  # a recursion that has not ended by now is taken for endless
    pull_depth: int = 256  # the nesting of the answer, which must itself be a value


LIMITS = Limits()
