"""Schemas of the company's settings."""

from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from journey_service.api.operations.schemas.jobs import Job
from journey_service.api.schema_fields import RequestModel, ResponseModel, described_by
from journey_service.api.stages.schemas.stage_maps import LintFinding
from journey_service.domain.companies.policy import DEFAULT_POLICY, CompanyPolicy
from journey_service.domain.companies.policy_parsing import policy_to_json
from journey_service.services.companies.settings import PolicyChangeResult

_DEFAULTS: Final[dict[str, Any]] = policy_to_json(DEFAULT_POLICY)

Share = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[int, Field(ge=1, le=3650)]
LocalTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None
RetentionDays = Annotated[int, Field(ge=1, le=36_500)]


class ScoringSettings(ResponseModel):
    """Parameters of the scores. Weights and rates are 0 to 1 with at most four decimals; a day has 24 hours."""

    engagement_frequency_weight: Share = Field(description="Weight of frequency in the engagement score")
    engagement_recency_weight: Share = Field(description="Weight of recency in the engagement score")
    engagement_monetary_weight: Share = Field(description="Weight of lifetime value in the engagement score")
    engagement_quality_weight: Share = Field(description="Weight of contact quality in the engagement score")
    frequency_window_days: Days = Field(
        description="Days within which completed appointments count for frequency"
    )
    frequency_target: Days = Field(
        description="Number of completed appointments within `frequency_window_days` at which frequency is 1"
    )
    recency_horizon_days: Days = Field(description="Days without an appointment after which recency is 0")
    monetary_target: float = Field(
        ge=0.01,
        le=1_000_000_000,
        description="Lifetime value, in the company's currency, at which the factor of lifetime value is 1",
    )
    quality_window_days: Days = Field(
        description="Days within which good contacts (appointments, long calls) and bad ones (missed appointments,"
        " tickets) count for contact quality"
    )
    long_call_seconds: Days = Field(description="Seconds that a call must exceed to count as a good contact")
    initial_engagement: Share = Field(description="Engagement score of a customer without events")
    initial_risk: Share = Field(description="Risk score of a customer without events")
    inactive_days: Days = Field(
        description="Days without an appointment after which `inactive_weight` is added to the risk score"
    )
    inactive_weight: Share = Field(description="Weight that is added to the risk score after `inactive_days`")
    very_inactive_days: Days = Field(
        description="Days without an appointment after which `very_inactive_weight` is added to the risk score too"
    )
    very_inactive_weight: Share = Field(
        description="Weight that is added to the risk score after `very_inactive_days`"
    )
    missed_rate: Share = Field(
        description="Rate of missed appointments, 0 to 1, above which `missed_rate_weight` is added to the risk score"
    )
    missed_rate_weight: Share = Field(
        description="Weight that is added to the risk score above `missed_rate`"
    )
    missed_window_days: Days = Field(
        description="Days within which appointments count for the rate of missed ones"
    )
    trend: float = Field(
        ge=-1,
        le=0,
        description="Relative change of the number of appointments, -1 to 0, below which `trend_weight` is added to"
        " the risk score",
    )
    trend_weight: Share = Field(description="Weight that is added to the risk score below `trend`")
    trend_window_days: Days = Field(
        description="Days whose appointments are compared with those of as many days before them"
    )
    tickets_weight: Share = Field(
        description="Weight that is added to the risk score for a ticket opened within `tickets_window_days`"
    )
    tickets_window_days: Days = Field(
        description="Days within which an opened ticket counts for the risk score"
    )


class Settings(ResponseModel):
    """All settings of a company except its stage map."""

    model_config = ConfigDict(json_schema_extra={"examples": [_DEFAULTS]})

    scoring: ScoringSettings = Field(description="Parameters of the scores")
    revenue_source: Literal["appointments", "payments"] = Field(
        description="What lifetime value and revenue sum up. `appointments`: amounts of completed appointments;"
        " `payments`: payments less refunds"
    )
    manual_pin_days: Days = Field(
        description="Days for which a manual move is pinned if the rules would undo it at once"
    )
    consent: Literal["opt_out", "opt_in"] = Field(
        description="Whether a customer whose consent is `unknown` may be contacted. `opt_out`: yes; `opt_in`: no"
    )
    frequency_cap: int = Field(
        ge=1,
        le=1000,
        description="Largest number of messages to a customer on one channel within `frequency_cap_days`",
    )
    frequency_cap_days: int = Field(
        ge=1, le=365, description="Days within which messages count for `frequency_cap`"
    )
    quiet_from: LocalTime = Field(
        description="Local time, HH:MM, at which quiet hours begin, during which no messages are sent; null if there"
        " are none"
    )
    quiet_until: LocalTime = Field(
        description="Local time, HH:MM, at which quiet hours end, on the next day if it is before `quiet_from`; null"
        " if there are none"
    )
    messages_paused: bool = Field(
        description="Whether emails, text messages and offers are held back, for at most `max_hold_hours`"
    )
    max_hold_hours: int = Field(
        ge=1,
        le=168,
        description="Hours after which a message that quiet hours or a pause hold back is cancelled",
    )
    campaign_pause_days: int = Field(
        ge=0,
        le=3650,
        description="Days after the end of a campaign during which no campaign of the same stage starts for the"
        " customer",
    )
    open_booking_pauses_risk: bool = Field(
        description="Whether a customer with an open booking moves to no risk stage, and gets no steps of campaigns"
    )
    open_booking_max_days: int = Field(
        ge=1,
        le=3650,
        description="Days before an appointment from which its booking has this effect",
    )
    usual_gap_days: int = Field(
        ge=1,
        le=3650,
        description="Usual number of days between two appointments of a customer. Rules on `rhythm_ratio` use it for"
        " customers with few appointments",
    )
    address_wait_hours: int = Field(
        ge=0,
        le=72,
        description="Hours for which an action of a stage waits for a missing email address or phone number",
    )
    account_manager_email: str | None = Field(
        max_length=254,
        description="Address of notices about customers whose owner is no email address; null if these are not sent",
    )
    reply_to: str | None = Field(
        max_length=254,
        description="Reply-To address of the company's emails; null if replies go to the sender address of the service",
    )
    language: str = Field(
        pattern=r"^[a-z]{2,3}(-[a-z0-9]{2,8})?$",
        description="Language of messages to customers whose language is unknown",
    )
    keep_event_details_days: RetentionDays = Field(
        description="Days after which the `metadata` of events is deleted"
    )
    keep_import_errors_days: RetentionDays = Field(
        description="Days after which errors of imported lines, and the lines themselves, are deleted"
    )
    keep_job_details_days: RetentionDays = Field(
        description="Days after which the parameters of ended jobs are deleted"
    )
    keep_outbound_events_days: RetentionDays = Field(
        description="Days after which outbound events and their deliveries are deleted"
    )
    keep_audit_days: int = Field(ge=30, le=36_500, description="Days after which audit entries are deleted")

    @classmethod
    def of(cls, policy: CompanyPolicy) -> "Settings":
        """Returns the schema of a policy."""
        return cls.model_validate(policy_to_json(policy))


def _as_update(model: type[ResponseModel], defaults: dict[str, Any], schema: dict[str, Any]) -> None:
    """Adds the fields of a response schema to a request schema; each may be omitted and has a default."""
    properties = schema.setdefault("properties", {})
    for name, field in model.model_json_schema()["properties"].items():
        if name not in properties:
            properties[name] = {**field, "default": defaults[name]}


class ScoringUpdate(RequestModel):
    """Parameters of the scores; omitted ones take their defaults."""

    model_config = ConfigDict(
        json_schema_extra=partial(_as_update, ScoringSettings, _DEFAULTS["scoring"]),
    )


def _describe_update(schema: dict[str, Any]) -> None:
    _as_update(Settings, _DEFAULTS, schema)
    schema["examples"] = [
        {"revenue_source": "payments", "scoring": {"inactive_days": 45}, "frequency_cap": 2}
    ]


class SettingsUpdate(RequestModel):
    """All settings of a company; omitted ones take their defaults."""

    model_config = ConfigDict(json_schema_extra=_describe_update)

    scoring: ScoringUpdate = Field(default_factory=ScoringUpdate, description="Parameters of the scores")


SettingsInput = Annotated[dict[str, Any], described_by(SettingsUpdate)]
"""Settings as the domain parses them, which reports the pointer of every error."""


class SettingsChange(ResponseModel):
    """Settings after a change. With 202, a job continues to evaluate and rescore the customers."""

    settings: Settings = Field(description="The current settings")
    changed: list[str] = Field(
        description="Names of the settings that changed; empty if none did",
        examples=[["scoring.inactive_days", "revenue_source", "frequency_cap"]],
    )
    warnings: list[str] = Field(description="The `message` of each of `findings`", examples=[[]])
    findings: list[LintFinding] = Field(
        description="Findings of the linter about the current stage map with these settings", examples=[[]]
    )
    job: Job | None = Field(
        description="Job that evaluates and rescores all customers; null if no customer is affected"
    )

    @classmethod
    def of(cls, changed: PolicyChangeResult) -> "SettingsChange":
        """Returns the schema of changed settings."""
        findings = [LintFinding.of(finding) for finding in changed.findings]
        return cls(
            settings=Settings.of(changed.policy),
            changed=list(changed.names),
            warnings=[finding.message for finding in findings],
            findings=findings,
            job=None if changed.job is None else Job.of(changed.job),
        )
