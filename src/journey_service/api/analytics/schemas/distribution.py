"""Figures about all customers, over the wire."""

from datetime import datetime

from journey_service.api.schema_fields import ResponseModel
from journey_service.services.analytics.overview import Distribution


class StageCountOut(ResponseModel):
    """How many customers are in a stage."""

    stage_key: str
    stage_name: str
    customers: int


class DistributionOut(ResponseModel):
    """Customers by stage at an instant, in the order of the map in force then; empty stages are told as 0."""

    as_of: datetime
    total: int
    items: list[StageCountOut]

    @classmethod
    def of(cls, distribution: Distribution) -> "DistributionOut":
        """Show a distribution."""
        return cls(
            as_of=distribution.as_of,
            total=sum(customers for _, customers in distribution.stages),
            items=[
                StageCountOut(stage_key=stage.key, stage_name=stage.name, customers=customers)
                for stage, customers in distribution.stages
            ],
        )
