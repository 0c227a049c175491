"""Currencies: the decimals of their amounts as in ISO 4217, and the factors of default thresholds."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple

MAX_DECIMALS: Final = 3
"""Decimals of stored amounts; a currency with more is refused."""

_DECIMALS: Final[Mapping[int, str]] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW"
    " CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR"
    " ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV"
    " MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD"
    " SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
"""Codes of ISO 4217 by the number of decimals; metals, funds and test codes have none."""

_FACTORS: Final[Mapping[int, str]] = {
    10: "AFN ALL CZK DOP EGP GMD INR MKD MXN NOK PHP RUB SEK SLE THB TRY TWD UAH ZAR",
    100: "AMD BDT CRC DJF DZD ETB HUF ISK JMD JPY KES KMF KZT LKR NPR PKR RSD SOS VUV XAF XOF XPF YER",
    1_000: "ARS BIF CDF CLP COP GNF IQD KHR KRW MGA MMK MNT MWK NGN PYG RWF TZS UGX",
    10_000: "IDR IRR LAK SYP UZS VND",
    100_000: "LBP",
}
"""Factor of thresholds in euros by currency: roughly the largest power of ten that one euro is worth; else 1."""


class Currency(NamedTuple):
    """A currency: its code in ISO 4217, the decimals of its amounts, and the factor of default thresholds."""

    code: str
    decimals: int
    factor: int = 1

    @property
    def units(self) -> int:
        """The number of smallest units, such as cents, in one unit of the currency."""
        return int(10**self.decimals)

    def fits(self, amount: Decimal) -> bool:
        """Returns whether an amount has no more decimals than the currency; zeros at the end do not count."""
        return (amount * self.units) % 1 == 0

    @property
    def decimals_error(self) -> str:
        """The message about an amount with too many decimals."""
        if not self.decimals:
            return f"must have no decimals: amounts in {self.code} are whole numbers"
        number = ("", "one decimal", "two decimals", "three decimals")[self.decimals]
        return f"must have at most {number}, as amounts in {self.code}"

    def to_amount(self, units: int) -> Decimal:
        """Returns an amount in smallest units as a number of whole units."""
        return Decimal(units).scaleb(-self.decimals)

    def format(self, units: int) -> str:
        """Formats an amount in smallest units with the decimals of the currency."""
        return f"{self.to_amount(units):.{self.decimals}f}"


EUR: Final = Currency("EUR", 2)
"""The currency of the default thresholds."""


@cache
def _currencies() -> Mapping[str, Currency]:
    factors = {code: factor for factor, codes in _FACTORS.items() for code in codes.split()}
    return MappingProxyType(
        {
            code: Currency(code, decimals, factors.get(code, 1))
            for decimals, codes in _DECIMALS.items()
            for code in codes.split()
        }
    )


def get_currency(code: str) -> Currency:
    """Returns a currency that `currency_error` accepts."""
    return _currencies()[code]


def currency_error(code: str) -> str | None:
    """Returns why a company cannot have a currency, or None."""
    currency = _currencies().get(code)
    if currency is None:
        return "must be a currency of ISO 4217 whose decimals are defined, such as EUR"
    if currency.decimals > MAX_DECIMALS:
        return f"has {currency.decimals} decimals; amounts are stored with {MAX_DECIMALS}"
    return None
