"""Response schemas of churn predictions."""

from datetime import date
from typing import Final, Literal

from pydantic import Field

from journey_service.api.analytics.schemas.drilldown import stage_name
from journey_service.api.journeys.schemas.contact import (
    CustomerCampaign,
    CustomerReach,
    CustomerTask,
    Owner,
    contact_fields,
)
from journey_service.api.journeys.schemas.predictions import (
    NEXT_VISIT_DATE,
    P_RETURN_30,
    P_RETURN_90,
    outlook_fields,
)
from journey_service.api.schema_fields import (
    AnyCustomerId,
    Currency,
    CustomerName,
    CustomerRef,
    NextCursor,
    ResponseModel,
    Timestamp,
)
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics import churn
from journey_service.services.analytics.risk_list import AtRisk, RiskPage

RETENTION_EXAMPLE: Final = [
    {"type": "special_offer", "priority": "medium", "description": "Send a special return offer"},
    {"type": "email_campaign", "priority": "low", "description": "Include in re-engagement email campaign"},
]
"""Recommended actions for the customer at risk of the examples."""
CHURN_PROBABILITY: Final = Field(
    ge=0,
    le=1,
    description="Chance to churn, computed now by the churn model; null if unknown",
    examples=[0.91],
)
EXPECTED_LOSS: Final = Field(
    ge=0,
    description="`churn_probability` times `lifetime_value`, at least 0; null if unknown",
    examples=[709.8],
)


class RetentionAction(ResponseModel):
    """An action that the guide recommends for a customer at risk."""

    type: Literal["personal_call", "special_offer", "email_campaign"] = Field(
        description="Kind of action. `personal_call`: a call; `special_offer`: a special offer; `email_campaign`: an"
        " email",
        examples=["personal_call"],
    )
    priority: Literal["high", "medium", "low"] = Field(
        description="Priority of the action: `high`, `medium` or `low`", examples=["high"]
    )
    description: str = Field(
        description="The recommendation in words", examples=["Schedule a personal check-in call"]
    )

    @classmethod
    def of(cls, action: churn.RetentionAction) -> "RetentionAction":
        """Returns the schema of a recommended action."""
        return cls.model_validate(action._asdict())


class ChurnPrediction(ResponseModel):
    """A customer whose stored risk score is above 0.7 and who is not in the last risk stage."""

    customer_id: AnyCustomerId = Field(
        description="Id of the customer; negative for an erased customer", examples=[4712]
    )
    customer_ref: CustomerRef
    customer_name: CustomerName
    current_stage: str = Field(description="Key of the current stage", examples=["at_risk"])
    stage_name: str = Field(description="Name of the current stage", examples=["At Risk"])
    stage_entered_at: Timestamp = Field(
        description="When the customer entered `current_stage`", examples=["2026-01-12T10:00:00Z"]
    )
    risk_score: float = Field(ge=0, le=1, description="Stored risk score, 0 to 1", examples=[0.8])
    days_inactive: int | None = Field(
        ge=0,
        description="Whole days of 24 hours since the last appointment; null if there was none",
        examples=[139],
    )
    next_booking_at: Timestamp | None = Field(
        description="Time of the earliest appointment that is booked and has no outcome; null if there is none",
        examples=[None],
    )
    lifetime_value: float = Field(description="Lifetime value, in `currency`", examples=[780])
    predicted_churn_date: date | None = Field(
        description="Local day on which the customer is expected to enter the last risk stage: when the current stage"
        " visit is as long as the mean of `sample_size` earlier visits that ended there, but not before today. Null"
        " if there are none",
        examples=["2026-04-12"],
    )
    sample_size: int = Field(
        ge=0,
        description="Number of earlier visits of `current_stage` by any customer that ended in the last risk stage",
        examples=[23],
    )
    churn_probability: float | None = CHURN_PROBABILITY
    p_return_30: float | None = P_RETURN_30
    p_return_90: float | None = P_RETURN_90
    next_visit_date: date | None = NEXT_VISIT_DATE
    forecast_churn_date: date | None = Field(
        description="Local day on which the customer will more likely than not have churned, by the churn model; null"
        " if none is foreseen within three years, or if unknown",
        examples=["2026-04-12"],
    )
    expected_loss: float | None = EXPECTED_LOSS
    retention_actions: list[RetentionAction] = Field(
        description="Actions that the guide recommends, highest priority first",
        examples=[RETENTION_EXAMPLE],
    )
    owner: Owner
    reach: CustomerReach
    open_task: CustomerTask
    running_campaign: CustomerCampaign

    @classmethod
    def of(cls, context: CompanyContext, customer: AtRisk, *, is_named: bool) -> "ChurnPrediction":
        """Returns the schema of a customer at risk."""
        found = customer.found
        reach, task, campaign = contact_fields(customer.actions, customer.reach)
        return cls(
            customer_id=found.customer_id,
            customer_ref=found.customer_ref if is_named else None,
            customer_name=found.name if is_named else None,
            current_stage=found.current_stage,
            stage_name=stage_name(context, found.current_stage),
            stage_entered_at=found.stage_entered_at,
            risk_score=found.risk / 100,
            days_inactive=customer.days_inactive,
            next_booking_at=customer.next_booking_at,
            lifetime_value=float(found.lifetime_value),
            predicted_churn_date=customer.predicted_churn_date,
            sample_size=customer.sample,
            **outlook_fields(customer.outlook),
            expected_loss=customer.expected_loss,
            retention_actions=[RetentionAction.of(action) for action in customer.recommended],
            owner=found.owner,
            reach=reach,
            open_task=task,
            running_campaign=campaign,
        )


class ChurnPredictionPage(ResponseModel):
    """A page of churn predictions, in the requested order."""

    as_of: Timestamp = Field(description="Time as of which the page was read")
    currency: Currency
    items: list[ChurnPrediction] = Field(description="The customers of the page")
    next_cursor: NextCursor

    @classmethod
    def of(
        cls, page: RiskPage, limit: int, next_cursor: str | None, *, is_named: bool
    ) -> "ChurnPredictionPage":
        """Returns the schema of a page."""
        return cls(
            as_of=page.context.now,
            currency=page.context.company.currency,
            items=[
                ChurnPrediction.of(page.context, customer, is_named=is_named)
                for customer in page.customers[:limit]
            ],
            next_cursor=next_cursor,
        )
