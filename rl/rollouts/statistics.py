"""Confidence intervals: of one student's success, of several seeds, of a difference of two.

An interval is a pair (low, high) at 95 % confidence unless another is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Interval = tuple[float, float]


def wilson_interval(successes: int, episodes: int, confidence: float = 0.95) -> Interval:
    """The Wilson score interval of a success rate (Wilson 1927), without continuity correction.

        (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    with p = successes / n, n = episodes, z the normal quantile at (1 + confidence) / 2. No episodes
    say nothing: (0.0, 1.0). Raises ValueError for successes outside 0..episodes.
    """
    if episodes == 0 and successes == 0:
        return 0.0, 1.0
    if not 0 <= successes <= episodes:
        raise ValueError(f"successes must be 0 to {episodes}, not {successes}")
    # Not scipy.stats, which has this interval, too: it takes most of a second to import.
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    share, rest = successes / episodes, 1 + z * z / episodes
    centre = (share + z * z / (2 * episodes)) / rest
    half = z * math.sqrt(share * (1 - share) / episodes + (z / (2 * episodes)) ** 2) / rest
    # Rounding must not leave an interval that excludes what was seen.
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == episodes else centre + half
    return low, high


def newcombe_interval(
    successes: tuple[int, int], episodes: tuple[int, int], confidence: float = 0.95
) -> Interval:
    """The interval of a difference of two success rates, first minus second.

    Newcombe's hybrid score interval (Newcombe 1998, "Interval estimation for the difference between
    independent proportions", method 10), made of Wilson's limits l and u of both:

        d - sqrt((p1 - l1)^2 + (u2 - p2)^2),  d + sqrt((u1 - p1)^2 + (p2 - l2)^2)
    """
    p1, p2 = (s / n if n else 0.5 for s, n in zip(successes, episodes, strict=True))
    (l1, u1), (l2, u2) = (
        wilson_interval(s, n, confidence) for s, n in zip(successes, episodes, strict=True)
    )
    difference = p1 - p2
    return (
        difference - math.hypot(p1 - l1, u2 - p2),
        difference + math.hypot(u1 - p1, p2 - l2),
    )


def mean_share_interval(shares: Sequence[float], confidence: float = 0.95) -> Interval:
    """The interval of a mean of independent shares, each in 0..1; there must be some.

    Student's, never narrower than Wilson's of as many successes in as many trials: shares that
    happen to agree are no proof.
    """
    low, high = wilson_interval(round(math.fsum(shares)), len(shares), confidence)
    student = t_interval(shares, confidence) or (low, high)
    return max(min(low, student[0]), 0.0), min(max(high, student[1]), 1.0)


def paired_interval(differences: Sequence[float], confidence: float = 0.95) -> Interval:
    """The interval of a mean difference of two shares that were measured in pairs.

    differences: of the pairs, each in -1..1. One pair each way with half its weight, and one
    without a difference, are added before Student's interval is taken (Agresti and Min 2005,
    "Simple improved confidence intervals for comparing matched proportions"): pairs that happen to
    agree are no proof. No pairs say nothing: (-1.0, 1.0).
    """
    if not differences:
        return -1.0, 1.0
    count = len(differences) + 2
    mean = math.fsum(differences) / count
    variance = (math.fsum(d * d for d in differences) + 1.0) / count - mean**2
    half = _t_quantile(count - 1, confidence) * math.sqrt(variance / count)
    return max(mean - half, -1.0), min(mean + half, 1.0)


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval | None:
    """Student's interval of the mean of independent values; None for fewer than two."""
    if len(values) < 2:
        return None
    mean, variance = _moments(values)
    half = _t_quantile(len(values) - 1, confidence) * math.sqrt(variance / len(values))
    return mean - half, mean + half


def welch_interval(
    first: Sequence[float], second: Sequence[float], confidence: float = 0.95
) -> Interval | None:
    """The interval of a difference of two means, first minus second, variances not pooled.

    Welch 1947, with the degrees of freedom of Welch and Satterthwaite. None where either has fewer
    than two values.
    """
    if min(len(first), len(second)) < 2:
        return None
    (mean1, variance1), (mean2, variance2) = _moments(first), _moments(second)
    error1, error2 = variance1 / len(first), variance2 / len(second)
    difference, error = mean1 - mean2, error1 + error2
    if error == 0.0:
        return difference, difference
    freedom = error**2 / (error1**2 / (len(first) - 1) + error2**2 / (len(second) - 1))
    half = _t_quantile(freedom, confidence) * math.sqrt(error)
    return difference - half, difference + half


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and the variance with n - 1 in the denominator."""
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)


def _t_quantile(freedom: float, confidence: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))
