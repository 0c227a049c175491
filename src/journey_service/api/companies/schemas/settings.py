"""Schemas of the company's settings."""

from functools import partial
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from journey_service.api.operations.schemas.jobs import Job
from journey_service.api.schema_fields import RequestModel, ResponseModel, described_by
from journey_service.api.stages.schemas.stage_maps import LintFinding
from journey_service.domain.companies.policy import DEFAULT_POLICY, CompanyPolicy, policy_to_json
from journey_service.services.companies.settings import PolicyChangeResult

_DEFAULTS: Final[dict[str, Any]] = policy_to_json(DEFAULT_POLICY)

Share = Annotated[float, Field(ge=0, le=1)]
Days = Annotated[int, Field(ge=1, le=3650)]
LocalTime = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] | None
RetentionDays = Annotated[int, Field(ge=1, le=36_500)]


class ScoringSettings(ResponseModel):
    """Parameters of the scores. Weights and rates are fractions of 1 with at most four decimals; a day has 24 hours."""

    engagement_frequency_weight: Share = Field(description="Weight of frequency in the engagement score")
    engagement_recency_weight: Share = Field(description="Weight of recency in the engagement score")
    engagement_monetary_weight: Share = Field(description="Weight of lifetime value in the engagement score")
    engagement_quality_weight: Share = Field(description="Weight of contact quality in the engagement score")
    frequency_window_days: Days = Field(
        description="Days within which completed appointments count as frequency"
    )
    frequency_target: Days = Field(description="Number of appointments in the window that is full frequency")
    recency_horizon_days: Days = Field(description="Days without an appointment after which recency is 0")
    monetary_target: float = Field(
        ge=0.01, le=1_000_000_000, description="Lifetime value in the company's currency that is full value"
    )
    quality_window_days: Days = Field(description="Days within which good and bad contacts count")
    long_call_seconds: Days = Field(description="Seconds that a call must exceed to be a good contact")
    initial_engagement: Share = Field(description="Engagement score of a customer without any events")
    initial_risk: Share = Field(description="Risk score of a customer without any events")
    inactive_days: Days = Field(
        description="Days without an appointment after which `inactive_weight` is added"
    )
    inactive_weight: Share = Field(description="Risk added for inactivity")
    very_inactive_days: Days = Field(
        description="Days without an appointment after which `very_inactive_weight` is added as well"
    )
    very_inactive_weight: Share = Field(description="Risk added for long inactivity")
    missed_rate: Share = Field(
        description="Share of missed appointments above which `missed_rate_weight` is added"
    )
    missed_rate_weight: Share = Field(description="Risk added for missed appointments")
    missed_window_days: Days = Field(description="Days within which missed appointments count")
    trend: float = Field(
        ge=-1, le=0, description="Relative change of appointments below which `trend_weight` is added"
    )
    trend_weight: Share = Field(description="Risk added for a falling number of appointments")
    trend_window_days: Days = Field(
        description="Days of the trend: the last ones compared with as many before"
    )
    tickets_weight: Share = Field(description="Risk added for a ticket opened within `tickets_window_days`")
    tickets_window_days: Days = Field(description="Days within which an opened ticket counts")


class Settings(ResponseModel):
    """All settings of a company except its stage map."""

    model_config = ConfigDict(json_schema_extra={"examples": [_DEFAULTS]})

    scoring: ScoringSettings = Field(description="Parameters of the scores")
    revenue_source: Literal["appointments", "payments"] = Field(
        description="What lifetime value sums: completed appointments, or payments less refunds"
    )
    manual_pin_days: Days = Field(
        description="Days for which a manual move is pinned if the rules would undo it at once"
    )
    consent: Literal["opt_out", "opt_in"] = Field(
        description="Whether a customer without a recorded consent may be contacted (`opt_out`) or not (`opt_in`)"
    )
    frequency_cap: int = Field(
        ge=1,
        le=1000,
        description="Messages that a customer receives at most per channel in `frequency_cap_days`",
    )
    frequency_cap_days: int = Field(ge=1, le=365, description="Days of the frequency cap")
    quiet_from: LocalTime = Field(
        description="Local time, HH:MM, from which no messages are sent; null: no quiet hours"
    )
    quiet_until: LocalTime = Field(
        description="Local time at which quiet hours end, of the next day if before `quiet_from`; null: no quiet hours"
    )
    messages_paused: bool = Field(
        description="Whether emails, text messages and offers wait, for `max_hold_hours` at most"
    )
    max_hold_hours: int = Field(
        ge=1, le=168, description="Hours that a message waits at most for quiet hours or a pause to end"
    )
    campaign_pause_days: int = Field(
        ge=0,
        le=3650,
        description="Days after a campaign in which none of its kind starts for the same customer",
    )
    reply_to: str | None = Field(
        max_length=254,
        description="Reply-To address of the company's emails; null: the sender of the service",
    )
    language: str = Field(
        pattern=r"^[a-z]{2,3}(-[a-z0-9]{2,8})?$",
        description="Language tag for messages to customers without a language of their own",
    )
    keep_event_details_days: RetentionDays = Field(
        description="Days for which free metadata of events is kept"
    )
    keep_import_errors_days: RetentionDays = Field(
        description="Days for which errors of imported lines are kept"
    )
    keep_job_details_days: RetentionDays = Field(
        description="Days for which parameters of ended jobs are kept"
    )
    keep_outbound_events_days: RetentionDays = Field(
        description="Days for which outbound events and their deliveries are kept"
    )
    keep_audit_days: int = Field(ge=30, le=36_500, description="Days for which audit entries are kept")

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
"""Settings as the domain parses them, which reports the place of every error."""


class SettingsChange(ResponseModel):
    """Settings after a change. With 202, a job still evaluates and rescores the customers."""

    settings: Settings = Field(description="The settings in force")
    changed: list[str] = Field(
        description="Names of the settings that changed",
        examples=[["scoring.inactive_days", "revenue_source"]],
    )
    warnings: list[str] = Field(description="Messages of `findings`", examples=[[]])
    findings: list[LintFinding] = Field(
        description="What the linter finds in the stage map with these settings", examples=[[]]
    )
    job: Job | None = Field(
        description="Job that evaluates and rescores all customers; null: no customer is affected"
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
