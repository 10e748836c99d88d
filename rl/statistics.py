"""How sure a measured success rate is."""

from __future__ import annotations


def wilson_interval(successes: int, episodes: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a success rate (Wilson 1927), without continuity correction.

        (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    with p = successes / n, n = episodes, z the normal quantile at (1 + confidence) / 2. No episodes
    say nothing: (0.0, 1.0). Raises ValueError for successes outside 0..episodes.
    """
    if episodes == 0 and successes == 0:
        return 0.0, 1.0
    # Here and not above: scipy.stats takes most of a second to import.
    from scipy.stats import binomtest

    interval = binomtest(successes, episodes).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)
