"""Response schemas of scores and their factors."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel, Timestamp
from journey_service.domain.journeys.score_history import HistoryPoint
from journey_service.domain.journeys.scoring import ScoreExplanation
from journey_service.services.journeys.reading import ScoreExplanations

_FACTOR_FIELDS: Final = ("name", "value", "threshold", "weight", "contribution")
_ENGAGEMENT_EXAMPLE: Final[dict[str, Any]] = {
    "score": 0.79,
    "factors": [
        dict(zip(_FACTOR_FIELDS, factor, strict=True))
        for factor in (
            ("appointment_frequency", 1, 3, 0.3, 0.3),
            ("recency", 1, 180, 0.3, 0.3),
            ("monetary_value", 0.3499, 1000, 0.2, 0.07),
            ("interaction_quality", 0.625, None, 0.2, 0.12),
        )
    ],
}
_RISK_EXAMPLE: Final[dict[str, Any]] = {
    "score": 0.2,
    "factors": [
        dict(zip(_FACTOR_FIELDS, factor, strict=True))
        for factor in (
            ("days_inactive", 0, 60, 0.3, 0),
            ("days_very_inactive", 0, 90, 0.3, 0),
            ("missed_appointments", 0.3333, 0.2, 0.2, 0.2),
            ("declining_frequency", 2, -0.3, 0.2, 0),
            ("support_tickets", 0, 0, 0, 0),
        )
    ],
}


class ScoreFactor(ResponseModel):
    """One factor of a score. The contributions of all factors add up to the score."""

    name: str = Field(
        description="Name of the factor. Engagement: `appointment_frequency`, `recency`, `monetary_value`,"
        " `interaction_quality`. Risk: `days_inactive`, `days_very_inactive`, `missed_appointments`,"
        " `declining_frequency`, `support_tickets`. Both: `new_relationship`, for a customer without events",
        examples=["days_inactive"],
    )
    value: float | int | None = Field(
        description="Measured value; null if it is unknown. Factors of engagement: 0 to 1. Factors of risk: in the"
        " unit of `threshold`",
        examples=[120],
    )
    threshold: float | int | None = Field(
        description="Engagement: value of the setting at which the factor is full, in appointments, days or money."
        " Risk: value beyond which the factor contributes, in days, as a rate, or as a number. Null if there is none",
        examples=[60],
    )
    weight: float = Field(ge=0, le=1, description="Largest possible contribution, 0 to 1", examples=[0.3])
    contribution: float = Field(
        ge=0, le=1, description="Contribution to the score, 0 to `weight`, with two decimals", examples=[0.3]
    )


class Score(ResponseModel):
    """A score and its factors."""

    score: float = Field(ge=0, le=1, description="The score, 0 to 1, with two decimals", examples=[0.3])
    factors: list[ScoreFactor] = Field(description="All factors, including those that contribute nothing")

    @classmethod
    def of(cls, explanation: ScoreExplanation) -> "Score":
        """Builds the response from an explained score."""
        return cls(
            score=explanation.score / 100,
            factors=[
                ScoreFactor(
                    name=factor.name,
                    value=None if factor.value is None else _number(factor.value),
                    threshold=None if factor.threshold is None else _number(factor.threshold),
                    weight=float(factor.weight),
                    contribution=factor.contribution / 100,
                )
                for factor in explanation.factors
            ],
        )


class CustomerScores(ResponseModel):
    """Both scores of a customer with their factors."""

    as_of: Timestamp = Field(
        description="Time as of which the scores were computed", examples=["2026-03-01T12:00:00Z"]
    )
    engagement: Score = Field(
        description="Engagement of the customer: 0 (none) to 1", examples=[_ENGAGEMENT_EXAMPLE]
    )
    risk: Score = Field(description="Risk of losing the customer: 0 (none) to 1", examples=[_RISK_EXAMPLE])

    @classmethod
    def of(cls, scores: ScoreExplanations) -> "CustomerScores":
        """Builds the response from explained scores."""
        return cls(as_of=scores.as_of, engagement=Score.of(scores.engagement), risk=Score.of(scores.risk))


class ScorePoint(ResponseModel):
    """The stage and the scores of a customer at a time."""

    at: Timestamp = Field(
        description="End of the local day: midnight, at which the next day begins; for today, the time of the response",
        examples=["2026-02-28T23:00:00Z"],
    )
    stage_key: str = Field(description="Key of the stage at that time", examples=["regular"])
    risk: float = Field(
        ge=0, le=1, description="Risk of losing the customer at that time: 0 (none) to 1", examples=[0.2]
    )
    engagement: float = Field(
        ge=0, le=1, description="Engagement of the customer at that time: 0 (none) to 1", examples=[0.79]
    )


class ScoreHistory(ResponseModel):
    """The history of a customer's scores, with the settings of today."""

    items: list[ScorePoint] = Field(
        description="Points in chronological order, at most 400; empty if the journey began after the range"
    )

    @classmethod
    def of(cls, points: Sequence[HistoryPoint]) -> "ScoreHistory":
        """Builds the response from the points of the domain."""
        return cls(
            items=[
                ScorePoint(
                    at=point.at,
                    stage_key=point.stage_key,
                    risk=point.risk / 100,
                    engagement=point.engagement / 100,
                )
                for point in points
            ]
        )


def _number(value: Decimal | int) -> float | int:
    return value if isinstance(value, int) else float(value)
