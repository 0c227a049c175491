"""What is predicted for customers, from the parameters of the company's model, as of now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.journeys.facts import Facts
from journey_service.domain.journeys.prediction.outlook import Outlook, predict_outlook
from journey_service.domain.journeys.prediction.quality import FittedModel, NotShown
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class CustomerPrediction:
    """Predictions of one customer as of `as_of`; None with the reason. `model` is the newest one, shown or not."""

    as_of: datetime
    outlook: Outlook | None
    reason: NotShown | None
    model: FittedModel | None


async def get_prediction(database: Database, company_id: int, customer_id: int) -> CustomerPrediction:
    """Returns what is predicted for a customer now. Raises CustomerNotFoundError."""

    async def unit(uow: UnitOfWork) -> CustomerPrediction:
        context = await uow.companies.get_context()
        stored = await uow.relationships.find(customer_id)
        if stored is None:
            raise CustomerNotFoundError(customer_id)
        return await predict_customer(uow, context, stored.relationship.facts)

    return await database.run(company_id, unit)


async def predict_customer(uow: UnitOfWork, context: CompanyContext, facts: Facts) -> CustomerPrediction:
    """Returns what is predicted for a customer with these facts."""
    model = await find_model(uow)
    shown = context.rulebook.churn_model
    if shown is None:
        is_worse = model is not None and model.parameters is not None and not model.is_shown
        reason = NotShown.WORSE_THAN_BASELINE if is_worse else NotShown.NO_MODEL
        return CustomerPrediction(context.now, None, reason, model)
    outlook = predict_outlook(shown, facts, context.now)
    return CustomerPrediction(
        context.now, outlook, NotShown.NO_APPOINTMENT if outlook is None else None, model
    )


async def predict_many(
    uow: UnitOfWork, context: CompanyContext, relationship_ids: Sequence[int]
) -> Mapping[int, Outlook | None]:
    """Returns what is predicted for customers, by relationship id; nothing without a shown model."""
    model = context.rulebook.churn_model
    if model is None or not relationship_ids:
        return {}
    rows = await uow.churn_scores.get_many(relationship_ids)
    return {id_: predict_outlook(model, row.facts, context.now) for id_, row in rows.items()}


async def get_model(database: Database, company_id: int) -> FittedModel | None:
    """Returns the newest model of a company, shown or not; None if there is none. Raises CompanyNotFoundError."""

    async def unit(uow: UnitOfWork) -> FittedModel | None:
        await uow.companies.get_context()
        return await find_model(uow)

    return await database.run(company_id, unit)


async def find_model(uow: UnitOfWork) -> FittedModel | None:
    """Finds the newest model of the company."""
    return await uow.churn_models.find_latest()
