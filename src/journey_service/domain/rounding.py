"""Rounding of scores, money, and percentages: half up, exactly as the guide's numeric columns do."""

from typing import Final

FULL: Final = 100
"""A score of 1, in the hundredths in which scores are counted."""
UNITS: Final = 10_000
"""A weight of 1, in the units in which weights are counted: they have at most four decimals."""


def half_up(numerator: int, denominator: int) -> int:
    """Round an exact, non-negative ratio to a whole number, halves upwards."""
    return (2 * numerator + denominator) // (2 * denominator)
