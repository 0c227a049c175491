"""Scores over the wire."""

from datetime import datetime
from typing import Any

from journey_service.api.schema_fields import ResponseModel
from journey_service.domain.journeys.scoring import ScoreExplanation
from journey_service.services.journeys.reading import ScoreExplanations


class FactorOut(ResponseModel):
    """A part of a score; the contributions add up to it."""

    name: str
    value: float | int | None
    threshold: float | int | None
    weight: float
    contribution: float


class ScoreOut(ResponseModel):
    """A score from 0 to 1 and what it is made of."""

    score: float
    factors: list[FactorOut]

    @classmethod
    def of(cls, explanation: ScoreExplanation) -> "ScoreOut":
        """Show a score."""
        return cls(
            score=explanation.score / 100,
            factors=[
                FactorOut(
                    name=factor.name,
                    value=None if factor.value is None else _number(factor.value),
                    threshold=None if factor.threshold is None else _number(factor.threshold),
                    weight=float(factor.weight),
                    contribution=factor.contribution / 100,
                )
                for factor in explanation.factors
            ],
        )


class ScoresOut(ResponseModel):
    """Both scores of a customer, explained."""

    as_of: datetime
    engagement: ScoreOut
    risk: ScoreOut

    @classmethod
    def of(cls, scores: ScoreExplanations) -> "ScoresOut":
        """Show scores."""
        return cls(
            as_of=scores.as_of, engagement=ScoreOut.of(scores.engagement), risk=ScoreOut.of(scores.risk)
        )


def _number(value: Any) -> float | int:  # noqa: ANN401  # Decimal or int
    return value if isinstance(value, int) else float(value)
