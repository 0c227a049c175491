"""Request and response schemas of stages and their rules."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from journey_service.api.schema_fields import RequestModel, ResponseModel, described_by, omittable
from journey_service.domain.stages import stage_map
from journey_service.domain.stages.icons import StageIcon
from journey_service.domain.stages.rules import TRIGGERS, rules_to_json
from journey_service.domain.stages.stage_map import StageKind

_VIP_RULE: dict[str, Any] = {"trigger": "lifetime_value", "conditions": {"value": ">=1000"}}
_EXAMPLE: dict[str, Any] = {
    "key": "vip",
    "name": "VIP Customer",
    "description": "High-value loyal customer",
    "color": "#8B5CF6",
    "icon": "crown",
    "order": 5,
    "kind": "progress",
    "auto_rules": _VIP_RULE,
    "retention_days": None,
}

ConditionField = Literal[
    "count", "value", "days", "ratio", "probability", "score", "rate", "call_duration", "total_amount"
]
ConditionText = Annotated[
    str, Field(pattern=r"^(>=|<=|==|!=|>|<)\s*-?\d{1,12}(\.\d{1,6})?$", examples=[">=1000"])
]
_Key = Annotated[
    str,
    Field(
        pattern="^[a-z][a-z0-9_]{0,49}$",
        description="Permanent identifier of the stage. A key never changes and is never reused",
        examples=["vip"],
    ),
]
_Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        description="Display name, unique among active stages",
        examples=["VIP Customer"],
    ),
]
_Description = Annotated[
    str | None,
    Field(
        max_length=2000,
        description="What the stage means; null or omitted: no description",
        examples=["High-value loyal customer"],
    ),
]
_Color = Annotated[
    str | None,
    Field(
        pattern="^#[0-9A-Fa-f]{6}$",
        description="Color in lists and charts, as `#RRGGBB`; null or omitted: the client chooses one",
        examples=["#8B5CF6"],
    ),
]
_Icon = Annotated[
    StageIcon | None, Field(description="Name of the icon; null or omitted: no icon", examples=["crown"])
]
_Order = Annotated[
    int,
    Field(
        ge=1,
        le=1000,
        description="Rank of the stage, unique among active stages. A progress stage with a higher `order` is further,"
        " a risk stage with a higher `order` is worse. The first and the last risk stage are those with the lowest"
        " and the highest `order`",
        examples=[5],
    ),
]
_RetentionDays = Annotated[
    int | None,
    Field(
        ge=1,
        le=3650,
        description="Days without an appointment after which a customer of the stage enters the first risk stage, in"
        " place of the days in the rule of that stage; null or omitted: the days in that rule",
        examples=[None],
    ),
]
_RemappedTo = Annotated[
    str | None,
    Field(
        description="For an archived stage: key of the active stage that its customers move to; null or omitted: none",
        examples=[None],
    ),
]


class StageRule(RequestModel):
    """A trigger and its conditions. The rule holds if all its conditions are met."""

    trigger: str = Field(
        description="Event type, for a rule that is evaluated when such an event is stored; or a value of the"
        " customer, for a rule that is evaluated at any time and requires a condition. `appointment_count`: completed"
        " appointments; `lifetime_value`: revenue; `days_since_last_appointment`: days since the last completed"
        " appointment; `rhythm_ratio`: these days divided by the customer's usual number of days between appointments;"
        " `churn_probability`: predicted probability that the customer stays away until they count as churned;"
        " `risk_score`, `engagement_score`: the scores; `missed_rate`: missed of all past appointments;"
        " `days_in_stage`: days since the customer entered the stage. A rule on an unknown value does not hold",
        examples=["lifetime_value"],
        json_schema_extra={"enum": [*TRIGGERS]},
    )
    conditions: dict[ConditionField, ConditionText] = Field(
        default_factory=dict,
        description="Operator and number, by field of the trigger. Event types have the fields `call_duration`"
        " (seconds) and `total_amount` (money in the company's currency). `appointment_count` has `count`;"
        " `lifetime_value` has `value` (money); `days_...` has `days`; `rhythm_ratio` has `ratio`;"
        " `churn_probability` has `probability` (0 to 1);"
        " `..._score` has `score` (0 to 1); `missed_rate` has `rate` (0 to 1)",
        examples=[{"value": ">=1000"}],
    )


class StageRuleSet(RequestModel):
    """Alternative rules of a stage. The set holds if one of its rules holds."""

    any: list[StageRule] = Field(
        min_length=1, max_length=20, description="Alternative rules", examples=[[_VIP_RULE]]
    )


StageRules = Annotated[
    StageRule | StageRuleSet | None,
    Field(
        description="Rules by which customers enter the stage: one rule, or a set of alternatives; null or omitted:"
        " customers enter it by manual moves only",
        examples=[_VIP_RULE],
    ),
]


class StageDefinition(RequestModel):
    """A stage in a draft of the stage map."""

    key: _Key
    name: _Name
    description: _Description = None
    color: _Color = None
    icon: _Icon = None
    order: _Order
    kind: StageKind | None = Field(
        default=None,
        description="`progress`: the customer advances; `risk`: the customer may be lost. The kind of a stage never"
        " changes; null or omitted: the existing kind, or for a new stage the kind that follows from its rules",
        examples=["progress"],
    )
    auto_rules: StageRules = None
    retention_days: _RetentionDays = None
    is_active: bool = Field(
        default=True,
        description="Whether the stage is active; false archives it permanently",
        examples=[True],
    )
    remapped_to: _RemappedTo = None


class StageUpdate(RequestModel):
    """Fields of one stage to change; omitted fields keep their values. Key and kind cannot be changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "VIP", "auto_rules": _VIP_RULE}]})

    name: _Name = omittable()
    description: _Description = omittable()
    color: _Color = omittable()
    icon: _Icon = omittable()
    order: _Order = omittable()
    auto_rules: StageRules = omittable()
    retention_days: _RetentionDays = omittable()


StageInput = Annotated[Any, described_by(StageDefinition)]
StageUpdateInput = Annotated[dict[str, Any], described_by(StageUpdate)]


class Stage(ResponseModel):
    """A stage of the company's stage map."""

    key: _Key
    name: _Name
    description: _Description
    color: _Color
    icon: _Icon
    order: _Order
    kind: StageKind = Field(
        description="`progress`: the customer advances; `risk`: the customer may be lost",
        examples=["progress"],
    )
    auto_rules: StageRules
    retention_days: _RetentionDays
    is_active: bool = Field(
        description="Whether the stage is active; false: it is archived permanently", examples=[True]
    )
    remapped_to: _RemappedTo

    @classmethod
    def of(cls, stage: stage_map.Stage) -> "Stage":
        """Builds the response from a stage of the domain."""
        return cls.model_validate(
            {
                "key": stage.key,
                "name": stage.name,
                "description": stage.description,
                "color": stage.color,
                "icon": stage.icon,
                "order": stage.order,
                "kind": stage.kind,
                "auto_rules": rules_to_json(stage.rules),
                "retention_days": stage.retention_days,
                "is_active": stage.is_active,
                "remapped_to": stage.remapped_to,
            }
        )
