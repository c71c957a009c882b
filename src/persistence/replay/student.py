"""Quantiles of Student's t distribution, for intervals around a mean of few samples."""

from __future__ import annotations

import math
from statistics import NormalDist, fmean, stdev
from typing import Final

_HALF: Final = 0.5


def interval(samples: list[float], confidence: float) -> tuple[float, float]:
    """The confidence interval of the mean of *samples*: mean ± t · s / √n.

    One sample tells nothing of its spread: the interval is then the whole line.

    >>> low, high = interval([1.0, 2.0, 3.0, 4.0], 0.95)
    >>> round(low, 3), round(high, 3)
    (0.446, 4.554)
    """
    if len(samples) < 2:
        return -math.inf, math.inf
    mean, spread = fmean(samples), stdev(samples) / math.sqrt(len(samples))
    reach = quantile(1 - confidence, len(samples) - 1) * spread
    return mean - reach, mean + reach


def quantile(tails: float, freedom: int) -> float:
    """The t that is exceeded, on either side, with probability *tails*.

    G. W. Hill, "Algorithm 396: Student's t-quantiles", CACM 13 (1970).

    >>> [round(quantile(0.05, n), 3) for n in (1, 2, 4, 9, 30)]
    [12.706, 4.303, 2.776, 2.262, 2.042]
    """
    p, n = tails, float(freedom)
    if freedom == 1:
        return 1 / math.tan(p * math.pi / 2)
    if freedom == 2:
        return math.sqrt(2 / (p * (2 - p)) - 2)
    a = 1 / (n - _HALF)
    b = 48 / (a * a)
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * n
    y = (d * p) ** (2 / n)
    if y > 0.05 + a:
        return math.sqrt(n * _near(p, n, a, b, c, d))
    far = 1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + _HALF / (n + 4)
    return math.sqrt(n * ((far * y - 1) * (n + 1) / (n + 2) + 1 / y))


def _near(p: float, n: float, a: float, b: float, c: float, d: float) -> float:
    """An asymptotic expansion about the normal distribution, for tails that are not tiny."""
    x = NormalDist().inv_cdf(p / 2)
    y = x * x
    if n < 5:
        c += 0.3 * (n - 4.5) * (x + 0.6)
    c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c
    y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x
    return math.expm1(a * y * y)
