"""Response schemas of scores and their factors."""

from decimal import Decimal

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel, Timestamp
from journey_service.domain.journeys.scoring import ScoreExplanation
from journey_service.services.journeys.reading import ScoreExplanations


class ScoreFactor(ResponseModel):
    """One factor of a score. The contributions of all factors add up to the score."""

    name: str = Field(description="Name of the factor", examples=["days_inactive"])
    value: float | int | None = Field(
        description="Measured value, in the unit of the factor; null: unknown", examples=[120]
    )
    threshold: float | int | None = Field(
        description="Value at which the factor counts, in the same unit; null: none", examples=[90]
    )
    weight: float = Field(description="Largest possible contribution, from 0 to 1", examples=[0.3])
    contribution: float = Field(
        description="Contribution to the score, from 0 to `weight`, two decimals", examples=[0.3]
    )


class Score(ResponseModel):
    """A score and its factors."""

    score: float = Field(description="The score from 0 to 1, two decimals", examples=[0.3])
    factors: list[ScoreFactor] = Field(description="Every factor, also those that contribute nothing")

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
        description="The company's time for which the scores were computed", examples=["2026-03-01T12:00:00Z"]
    )
    engagement: Score = Field(description="Engagement: 0 (none) to 1")
    risk: Score = Field(description="Risk of losing the customer: 0 (none) to 1")

    @classmethod
    def of(cls, scores: ScoreExplanations) -> "CustomerScores":
        """Builds the response from explained scores."""
        return cls(as_of=scores.as_of, engagement=Score.of(scores.engagement), risk=Score.of(scores.risk))


def _number(value: Decimal | int) -> float | int:
    return value if isinstance(value, int) else float(value)
