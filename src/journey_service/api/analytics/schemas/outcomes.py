"""Response schemas of retention cohorts and of the outcomes of actions."""

from pydantic import Field

from journey_service.api.analytics.schemas.dates import RangedReport, range_values
from journey_service.api.schema_fields import ResponseModel
from journey_service.services.analytics import automation, cohorts


class CohortMonth(ResponseModel):
    """The customers of a cohort who had an appointment a number of months after their first one."""

    cohort: str = Field(
        pattern=r"^\d{4}-\d{2}$", description="Local month of the first appointment", examples=["2026-01"]
    )
    size: int = Field(ge=0, description="Number of customers of the cohort", examples=[42])
    month: int = Field(ge=0, description="Number of months since `cohort`", examples=[1])
    customers: int = Field(
        ge=0,
        description="Customers of the cohort with an appointment in the month that is `month` months after `cohort`",
        examples=[18],
    )
    percentage: float = Field(
        ge=0, le=100, description="`customers` in percent of `size`, 0 to 100", examples=[42.9]
    )


class Cohorts(RangedReport):
    """Retention by the month of the first appointment, for all months that the range touches, up to now."""

    items: list[CohortMonth] = Field(description="The months of each cohort, oldest cohort first")

    @classmethod
    def of(cls, found: cohorts.CohortReport) -> "Cohorts":
        """Returns the schema of retention cohorts."""
        return cls.model_validate(
            {
                **range_values(found.query),
                "items": [
                    {
                        "cohort": f"{cohort.month // 12:04}-{cohort.month % 12 + 1:02}",
                        "size": cohort.customers_by_month[0],
                        "month": later,
                        "customers": customers,
                        "percentage": percentage,
                    }
                    for cohort in found.cohorts
                    for later, (customers, percentage) in enumerate(
                        zip(cohort.customers_by_month, cohort.percentages, strict=True)
                    )
                ],
            }
        )


class ActionOutcomes(ResponseModel):
    """The outcomes of the actions of one name."""

    name: str = Field(description="Name of the action", examples=["send_welcome_email"])
    done: int = Field(ge=0, description="Actions that were carried out", examples=[118])
    dead: int = Field(ge=0, description="Actions whose delivery failed permanently", examples=[2])
    cancelled: int = Field(
        ge=0, description="Actions that were cancelled, without those in `skipped`", examples=[7]
    )
    skipped: int = Field(
        ge=0,
        description="Actions that were cancelled as `no_channel`: no enabled webhook endpoint receives them, or no mail"
        " server is configured",
        examples=[0],
    )
    pending: int = Field(ge=0, description="Actions that are planned or being delivered", examples=[5])
    success_rate: float | None = Field(
        ge=0,
        le=100,
        description="`done` in percent of `done` and `dead`, 0 to 100; null if both are 0",
        examples=[98.3],
    )


class Automation(RangedReport):
    """The outcomes of the actions that were planned in the range."""

    success_rate: float | None = Field(
        ge=0,
        le=100,
        description="Percentage of the actions of all names that are done, of those that are done or dead, 0 to 100;"
        " null if there are none",
        examples=[98.3],
    )
    skipped: int = Field(
        ge=0,
        description="Actions of all names that were cancelled as `no_channel`; they do not count in `success_rate`",
        examples=[0],
    )
    items: list[ActionOutcomes] = Field(description="The actions by name")

    @classmethod
    def of(cls, found: automation.AutomationReport) -> "Automation":
        """Returns the schema of the outcomes of actions."""
        items = [
            ActionOutcomes(
                name=each.name,
                done=each.done,
                dead=each.dead,
                cancelled=each.cancelled,
                skipped=each.skipped,
                pending=each.pending,
                success_rate=None if each.rate is None else float(each.rate),
            )
            for each in found.actions
        ]
        return cls.model_validate(
            {
                **range_values(found.query),
                "success_rate": found.rate,
                "skipped": found.skipped,
                "items": items,
            }
        )
