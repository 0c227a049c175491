"""Customers at risk: predictions, recommended actions, and who can be contacted how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.contact_policy import ContactDecision, capped_since
from journey_service.domain.actions.records import CustomerActions
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.analytics.churn import (
    ChurnSample,
    RetentionAction,
    churn_samples,
    predicted_churn_date,
    retention_actions,
)
from journey_service.domain.analytics.records import AtRiskCustomer, RiskFilter, RiskPageRequest
from journey_service.domain.analytics.risk_bands import HIGH_RISK
from journey_service.domain.errors import UnavailableError
from journey_service.domain.journeys.booking_pause import next_booking
from journey_service.domain.journeys.facts import days_since
from journey_service.domain.journeys.prediction.outlook import Outlook
from journey_service.repositories.customers.lists.risk_list import RiskCriteria
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.churn.predictions import predict_many
from journey_service.services.analytics.query_context import TIMEOUT_MS

_EVERYONE: Final = RiskFilter()


@dataclass(frozen=True, slots=True)
class AtRisk:
    """A customer at risk: days since the last appointment, churn prediction, recommended and open actions.

    `reach` is the decision on a message that would be due now, by channel. `next_booking_at` is the earliest open
    booking. `outlook` is what is predicted; None without a shown model.
    """

    found: AtRiskCustomer
    days_inactive: int | None
    predicted_churn_date: date | None
    sample: int
    recommended: Sequence[RetentionAction]
    actions: CustomerActions
    reach: Mapping[Channel, ContactDecision]
    next_booking_at: datetime | None
    outlook: Outlook | None

    @property
    def expected_loss(self) -> float | None:
        """The chance to churn times the lifetime value, at least 0."""
        if self.outlook is None:
            return None
        return round(self.outlook.churn_probability * max(float(self.found.lifetime_value), 0.0), 2)


@dataclass(frozen=True, slots=True)
class RiskPage:
    """A page of customers at risk. `total` counts all of them; 0 if it was not requested."""

    context: CompanyContext
    customers: Sequence[AtRisk]
    total: int = 0


async def list_churning(database: Database, company_id: int, page: RiskPageRequest) -> RiskPage:
    """Lists the customers with a risk above 0.7 who have not churned.

    Raises CompanyNotFoundError, UnavailableError.
    """

    async def unit(uow: UnitOfWork) -> RiskPage:
        context = await uow.companies.get_context()
        found = await uow.risk_list.page_above(criteria_of(context), page)
        return RiskPage(context, await _with_predictions(uow, context, found))

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def list_at_risk(database: Database, company_id: int, page: RiskPageRequest) -> RiskPage:
    """Lists the same customers and those in the mildest risk stage, with their total.

    Raises CompanyNotFoundError, UnavailableError.
    """

    async def unit(uow: UnitOfWork) -> RiskPage:
        context = await uow.companies.get_context()
        found = await uow.risk_list.page(criteria_of(context), page)
        total = await count_at_risk(uow, context, page.filter_)
        return RiskPage(context, await _with_predictions(uow, context, found), total)

    return await database.run(company_id, unit, timeout_ms=TIMEOUT_MS, is_repeatable_read=True)


async def count_at_risk(uow: UnitOfWork, context: CompanyContext, filter_: RiskFilter = _EVERYONE) -> int:
    """Counts the customers that `list_at_risk` lists."""
    return await uow.risk_list.count(criteria_of(context), filter_)


def criteria_of(context: CompanyContext) -> RiskCriteria:
    """Returns which customers of a company are at risk."""
    stage_map = context.rulebook.stage_map
    mildest, severe = stage_map.mildest_risk, stage_map.risk_descending
    return RiskCriteria(
        "" if mildest is None else mildest.key, severe[0].key if severe else "", HIGH_RISK, context.now
    )


async def _with_predictions(
    uow: UnitOfWork, context: CompanyContext, found: Sequence[AtRiskCustomer]
) -> list[AtRisk]:
    if not context.company.rollup_version:
        raise UnavailableError("The metrics are being computed; try again shortly.")
    samples = churn_samples(context.rulebook.stage_map, await uow.rollups.list_all_moves())
    zone, policy = context.company.zone, context.rulebook.policy
    states = await uow.contact_states.get_many(
        [customer.relationship_id for customer in found], since=capped_since(context.now, policy)
    )
    outlooks = await predict_many(uow, context, [customer.relationship_id for customer in found])
    customers = []
    for customer in found:
        last = customer.last_appointment_at
        days = None if last is None else days_since(last, context.now)
        sample = samples.get(customer.current_stage)
        actions = states[customer.relationship_id]
        customers.append(
            AtRisk(
                customer,
                days,
                predicted_churn_date(customer.stage_entered_at, sample, context.now, zone),
                (sample or ChurnSample(0, 0)).number,
                retention_actions(customer.risk, days),
                actions,
                actions.state.reach(policy),
                next_booking(actions.state.open_bookings, context.now),
                outlooks.get(customer.relationship_id),
            )
        )
    return customers
