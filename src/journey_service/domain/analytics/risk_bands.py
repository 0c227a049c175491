"""Risk bands: customers counted by ranges of their risk score."""

from collections.abc import Mapping
from typing import Final, NamedTuple

HIGH_RISK: Final = 70
"""Above so many hundredths a customer is on the guide's list."""
CALL_RISK: Final = 80


class RiskBand(NamedTuple):
    """Scores of risk in hundredths, both included."""

    name: str
    low: int
    high: int


BANDS: Final = (
    RiskBand("low", 0, 30),
    RiskBand("medium", 31, HIGH_RISK),
    RiskBand("high", HIGH_RISK + 1, CALL_RISK),
    RiskBand("critical", CALL_RISK + 1, 100),
)
"""Beyond the second one customers are on the guide's list, in the last one they are to be called."""


def count_by_band(by_risk: Mapping[int, int]) -> list[tuple[RiskBand, int]]:
    """Customers by band, from customers by hundredths."""
    return [
        (band, sum(number for risk, number in by_risk.items() if band.low <= risk <= band.high))
        for band in BANDS
    ]
