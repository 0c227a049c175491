"""Risk bands: customers counted by ranges of their risk score."""

from collections.abc import Mapping
from typing import Final, NamedTuple

HIGH_RISK: Final = 70
"""Risk score in hundredths above which a customer is in the guide's list of customers at risk."""
CALL_RISK: Final = 80
"""Risk score in hundredths above which the guide recommends a call."""


class RiskBand(NamedTuple):
    """Range of risk scores in hundredths, both ends included."""

    name: str
    low: int
    high: int


BANDS: Final = (
    RiskBand("low", 0, 30),
    RiskBand("medium", 31, HIGH_RISK),
    RiskBand("high", HIGH_RISK + 1, CALL_RISK),
    RiskBand("critical", CALL_RISK + 1, 100),
)
"""The risk bands, ascending. The last two are in the guide's list; customers in the last one are to be called."""


def count_by_band(by_risk: Mapping[int, int]) -> list[tuple[RiskBand, int]]:
    """Returns the customers in each band, from the number of customers by risk score in hundredths."""
    return [
        (band, sum(number for risk, number in by_risk.items() if band.low <= risk <= band.high))
        for band in BANDS
    ]
