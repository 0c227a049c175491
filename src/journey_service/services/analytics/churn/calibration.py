"""Calibration: keeps predictions of a sample of customers each month, and compares them with what happened."""

from collections.abc import Sequence
from dataclasses import dataclass

from journey_service.domain.calendar import local_day
from journey_service.domain.journeys.prediction.outlook import HORIZON_DAYS
from journey_service.domain.journeys.prediction.quality import (
    CALIBRATION_MONTHS,
    MAX_SAMPLED_CUSTOMERS,
    CalibrationMonth,
    FittedModel,
    calibration_bins,
)
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.churn.predictions import find_model, predict_many


@dataclass(frozen=True, slots=True)
class Calibration:
    """Predicted against realised shares by month, newest first, and the newest model."""

    horizon: int
    months: Sequence[CalibrationMonth]
    model: FittedModel | None


async def get_calibration(database: Database, company_id: int) -> Calibration:
    """Returns predicted against realised shares. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> Calibration:
        await uow.companies.get_context()
        bins = await uow.churn_samples.list_bins()
        pending = await uow.churn_samples.count_pending()
        months = [CalibrationMonth(month, number) for month, number in pending.items()]
        months += [
            CalibrationMonth(month, sum(each.customers for each in found), found)
            for month, found in bins.items()
        ]
        months.sort(key=lambda each: each.month, reverse=True)
        return Calibration(HORIZON_DAYS, months, await find_model(uow))

    return await database.run(company_id, unit)


async def update_calibration(uow: UnitOfWork) -> None:
    """Compares the predictions whose horizon has ended, and keeps those of a new month."""
    context = await uow.companies.get_context()
    samples = uow.churn_samples
    for month in await samples.list_due_months(context.now, horizon=HORIZON_DAYS):
        outcomes = await samples.list_outcomes(month, horizon=HORIZON_DAYS)
        await samples.replace_by_bins(month, calibration_bins(outcomes), kept=CALIBRATION_MONTHS)
    month = local_day(context.now, context.company.zone).replace(day=1)
    last = await samples.find_last_month()
    if context.rulebook.churn_model is None or (last is not None and last >= month):
        return
    ids = await samples.list_customers(limit=MAX_SAMPLED_CUSTOMERS)
    found = await predict_many(uow, context, ids)
    predictions = [(id_, outlook.curve.survival(HORIZON_DAYS)) for id_, outlook in found.items() if outlook]
    await samples.insert(month, context.now, predictions)
