"""The application on no servers, made once: what it publishes is the same for all modules that read it."""

from copy import deepcopy
from functools import cache
from typing import Any

from fastapi import FastAPI

from journey_service.main import create_app
from journey_service.settings import placeholder_settings

WITH_CSV = (
    "get_overview",
    "get_distribution",
    "get_funnel",
    "get_flows",
    "get_time_in_stage",
    "get_conversion_rates",
    "get_risk_distribution",
    "list_churn_predictions",
    "get_calibration",
    "get_cohorts",
    "get_automation",
    "list_daily_metrics",
    "list_stage_customers",
    "list_funnel_customers",
    "list_flow_customers",
    "list_moved_customers",
    "list_action_customers",
    "list_stage_visits",
    "list_risk_band_customers",
    "list_cohort_customers",
    "list_customers",
)
"""Operations that have a second path, which ends in `.csv`, and a second operation there."""


@cache
def application() -> FastAPI:
    """The application, never started."""
    return create_app(placeholder_settings())


def published() -> dict[str, Any]:
    """The OpenAPI document, for the caller to change."""
    return deepcopy(application().openapi())
