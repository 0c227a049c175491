"""Currencies: decimals as in ISO 4217, amounts, and the factors of default thresholds."""

import re
from decimal import Decimal
from pathlib import Path

import iso4217
import pytest

from journey_service.domain.companies.currencies import EUR, currency_error, get_currency
from journey_service.domain.companies.policy_parsing import parse_policy
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.stages.default_stages import DEFAULT_STAGES, default_stages
from journey_service.domain.stages.parsing import parse_stage_map

CODES = sorted(currency.code for currency in iso4217.Currency)


def test_decimals_are_those_of_iso_4217():
    accepted = {code: get_currency(code).decimals for code in CODES if currency_error(code) is None}

    assert accepted == {
        currency.code: currency.exponent
        for currency in iso4217.Currency
        if currency.exponent is not None and currency.exponent <= 3
    }


@pytest.mark.parametrize("code", ["XAU", "XXX", "XTS", "CLF", "UYW", "ABC", "eur", ""])
def test_currencies_without_defined_or_with_too_many_decimals_are_errors(code):
    assert currency_error(code) is not None


@pytest.mark.parametrize(
    ("code", "fitting", "too_precise", "units"),
    [
        ("JPY", "8800", "8800.5", 8_800),
        ("EUR", "49.90", "49.905", 4_990),
        ("KWD", "12.345", "12.3456", 12_345),
        ("KRW", "1000.00", "0.1", 1_000),
    ],
)
def test_an_amount_has_at_most_the_decimals_of_its_currency(code, fitting, too_precise, units):
    currency = get_currency(code)

    assert currency.fits(Decimal(fitting))
    assert not currency.fits(Decimal(too_precise))
    assert currency.to_amount(units) == Decimal(fitting)
    assert Decimal(currency.format(units)) == Decimal(fitting)
    assert currency.format(units).partition(".")[2].__len__() == currency.decimals


@pytest.mark.parametrize(
    ("code", "factor"), [("EUR", 1), ("USD", 1), ("KWD", 1), ("JPY", 100), ("KRW", 1_000), ("VND", 10_000)]
)
def test_default_thresholds_are_multiplied_for_currencies_of_small_units(code, factor):
    currency = get_currency(code)
    [vip] = [stage for stage in default_stages(currency) if stage["key"] == "vip"]

    assert vip["auto_rules"] == {"trigger": "lifetime_value", "conditions": {"value": f">={1000 * factor}"}}
    assert [stage for stage in default_stages(currency) if stage["key"] != "vip"] == [
        stage for stage in DEFAULT_STAGES if stage["key"] != "vip"
    ]
    policy = parse_policy({}, currency=currency)
    assert policy.scoring.monetary_target == 1000 * factor
    assert policy.target_cents == 1000 * factor * currency.units
    assert parse_policy({"scoring": {"monetary_target": 7}}, currency=currency).scoring.monetary_target == 7


def test_default_stages_in_euros_are_those_of_the_guide():
    assert default_stages(EUR) == DEFAULT_STAGES


@pytest.mark.parametrize("in_list", [False, True])
def test_an_amount_in_a_map_or_in_settings_is_refused_at_its_place(in_list):
    rule = {"trigger": "appointment_completed", "conditions": {"total_amount": ">=99.5"}}
    rules = {"any": [{"trigger": "appointment_count", "conditions": {"count": ">1"}}, rule]}
    stages = [
        {"key": "a", "name": "A", "order": 1},
        {"key": "b", "name": "B", "order": 2, "auto_rules": rules if in_list else rule},
    ]
    yen = get_currency("JPY")
    pointer = f"/stages/1/auto_rules{'/any/1' if in_list else ''}/conditions/total_amount"
    message = "must have no decimals: amounts in JPY are whole numbers"

    with pytest.raises(InvalidInputError) as refused:
        parse_stage_map(stages, version=1, pointer="/stages", currency=yen)
    assert [(each.pointer, each.message) for each in refused.value.errors] == [(pointer, message)]
    stored = parse_stage_map(stages, version=1, currency=yen, is_stored=True)
    assert stored.stages[1].rules[-1].conditions[0].interval[0] == 100

    with pytest.raises(InvalidInputError) as refused:
        parse_policy({"scoring": {"monetary_target": 0.5}}, currency=yen)
    assert [(each.pointer, each.message) for each in refused.value.errors] == [
        ("/scoring/monetary_target", message)
    ]


def test_the_documented_factors_are_those_of_the_code():
    text = (Path(__file__).parents[3] / "docs" / "choices.md").read_text(encoding="utf-8")
    documented = {
        code: int(factor)
        for factor, codes in re.findall(r"^\| (\d+) \| ([A-Z ]+) \|$", text, re.MULTILINE)
        for code in codes.split()
    }

    factors = {code: get_currency(code).factor for code in CODES if currency_error(code) is None}
    assert {code: factor for code, factor in factors.items() if factor != 1} == documented
