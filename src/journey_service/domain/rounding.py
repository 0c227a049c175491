"""Rounding of scores, money and percentages: half up, as PostgreSQL rounds numeric columns."""

from typing import Final

FULL: Final = 100
"""The score 1 in hundredths, the unit of scores."""
UNITS: Final = 10_000
"""The weight 1 in ten-thousandths, the unit of weights: weights have at most four decimals."""


def half_up(numerator: int, denominator: int) -> int:
    """Rounds a non-negative ratio to a whole number, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)
