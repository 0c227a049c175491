"""The company's settings over the wire: every number with what it means."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, WithJsonSchema

from journey_service.api.operations.schemas.jobs import Job
from journey_service.api.schema_fields import ResponseModel
from journey_service.api.stages.schemas.stage_maps import LintFinding
from journey_service.domain.companies.policy import DEFAULT_POLICY, CompanyPolicy, policy_to_json
from journey_service.services.companies.settings import PolicyChangeResult

Share = Annotated[float, Field(ge=0, le=1, description="a fraction of 1, at most four decimals")]
Count = Annotated[int, Field(ge=1, le=3650)]
WallTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None
Kept = Annotated[int, Field(ge=1, le=36_500)]


class ScoringOut(ResponseModel):
    """The numbers behind engagement and risk. Weights and rates are fractions, windows are days of 24 hours."""

    engagement_frequency_weight: Share
    engagement_recency_weight: Share
    engagement_monetary_weight: Share
    engagement_quality_weight: Share
    frequency_window_days: Count = Field(description="within which completed appointments count as frequency")
    frequency_target: Count = Field(description="so many of them are full frequency")
    recency_horizon_days: Count = Field(description="after so many days without a visit recency is 0")
    monetary_target: float = Field(ge=0.01, le=1_000_000_000, description="lifetime value of full worth")
    quality_window_days: Count = Field(description="within which good and bad contacts count")
    long_call_seconds: Count = Field(description="a call longer than this is a good contact")
    new_engagement: Share = Field(description="of whoever nothing is known of yet")
    new_risk: Share = Field(description="likewise")
    inactive_days: Count = Field(description="more days than these without a visit add `inactive_weight`")
    inactive_weight: Share
    very_inactive_days: Count = Field(description="more than these add `very_inactive_weight` as well")
    very_inactive_weight: Share
    missed_rate: Share = Field(description="a higher share of missed appointments adds `missed_rate_weight`")
    missed_rate_weight: Share
    missed_window_days: Count
    trend: float = Field(ge=-1, le=0, description="a change of visits below this adds `trend_weight`")
    trend_weight: Share
    trend_window_days: Count = Field(description="the last so many days against as many before")
    tickets_weight: Share = Field(description="added with a ticket opened within `tickets_window_days`")
    tickets_window_days: Count


class SettingsOut(ResponseModel):
    """Everything a company decides beyond its stage map."""

    scoring: ScoringOut
    revenue_source: Literal["appointments", "payments"] = Field(
        description="what lifetime value is the sum of: completed appointments, or payments less refunds"
    )
    manual_pin_days: Count = Field(
        description="for how long a move by hand holds that the rules would undo at once"
    )
    consent: Literal["opt_out", "opt_in"] = Field(
        description="whether whoever has not been asked may be contacted (`opt_out`) or not"
    )
    frequency_cap: int = Field(ge=1, le=1000, description="messages at most, per customer and channel ...")
    frequency_cap_days: int = Field(ge=1, le=365, description="... within so many days")
    quiet_from: WallTime = Field(
        description="company-local time from which nobody is written to; null: never"
    )
    quiet_until: WallTime = Field(description="until when; earlier than `quiet_from`: of the next day")
    messages_paused: bool = Field(
        description="while true, no mail, sms or offer goes out: they wait, `longest_hold_hours` at most"
    )
    longest_hold_hours: int = Field(
        ge=1, le=168, description="for how long a message waits at most for quiet hours to end"
    )
    campaign_pause_days: int = Field(
        ge=0, le=3650, description="after a campaign none of its kind begins for the customer for so long"
    )
    reply_to: str | None = Field(
        max_length=254,
        description="where answers to the company's mails go; null: to the service's own sender",
    )
    language: str = Field(
        pattern=r"^[a-z]{2,3}(-[a-z0-9]{2,8})?$",
        description="in which customers are written to whose own language is not known",
    )
    keep_event_details_days: Kept = Field(description="for how long free metadata of events is kept")
    keep_import_faults_days: Kept = Field(description="for how long faults of imported lines are kept")
    keep_job_details_days: Kept = Field(description="for how long it is kept what ended jobs were about")
    keep_news_days: Kept = Field(description="for how long news, and how they were delivered, are kept")
    keep_audit_days: int = Field(ge=30, le=36_500, description="for how long the audit log goes back")

    @classmethod
    def of(cls, policy: CompanyPolicy) -> "SettingsOut":
        """Show a policy."""
        return cls.model_validate(policy_to_json(policy))


def _as_told(schema: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of what is shown as that of what may be told: anything may be left out."""
    properties = {
        name: {**{key: value for key, value in told.items() if key != "title"}, "default": defaults[name]}
        for name, told in schema["properties"].items()
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


_DEFAULTS: Final[dict[str, Any]] = policy_to_json(DEFAULT_POLICY)
_SETTINGS: Final = _as_told(SettingsOut.model_json_schema(), _DEFAULTS)
_SETTINGS["properties"]["scoring"] = {
    **_as_told(ScoringOut.model_json_schema(), _DEFAULTS["scoring"]),
    "description": "the numbers behind engagement and risk",
}

# Read by the domain, which knows the place of every fault; what is said here is for those who write them.
SettingsIn = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            **_SETTINGS,
            "examples": [
                {"revenue_source": "payments", "scoring": {"inactive_days": 45}, "frequency_cap": 2}
            ],
        }
    ),
]


class SettingsChangedOut(ResponseModel):
    """Settings just told. With 202, customers are still being decided and scored by them."""

    settings: SettingsOut
    changed: list[str] = Field(
        description="what is otherwise than before", examples=[["scoring.inactive_days", "revenue_source"]]
    )
    warnings: list[str]
    findings: list[LintFinding] = Field(
        description="what the linter says of the stage map with these settings"
    )
    job: Job | None = Field(description="what decides everybody anew; null: nobody is concerned")

    @classmethod
    def of_changed(cls, changed: PolicyChangeResult) -> "SettingsChangedOut":
        """Show settings just told."""
        findings = [LintFinding.of(finding) for finding in changed.findings]
        return cls(
            settings=SettingsOut.of(changed.policy),
            changed=list(changed.names),
            warnings=[finding.message for finding in findings],
            findings=findings,
            job=None if changed.job is None else Job.of(changed.job),
        )
