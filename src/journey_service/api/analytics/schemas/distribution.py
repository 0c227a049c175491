"""Response schemas of customers by stage and by risk score."""

from typing import Final, Literal

from pydantic import Field

from journey_service.api.schema_fields import ResponseModel, Timestamp
from journey_service.domain.analytics.risk_bands import BANDS
from journey_service.domain.stages.stage_map import Stage
from journey_service.services.analytics import overview

BandName = Literal["low", "medium", "high", "critical"]
STAGE_COUNTS_EXAMPLE: Final = [
    {"stage_key": key, "stage_name": name, "customers": customers}
    for key, name, customers in (
        ("prospect", "Prospect", 410),
        ("lead", "Lead", 265),
        ("customer", "Customer", 330),
        ("regular", "Regular Customer", 120),
        ("vip", "VIP Customer", 40),
        ("at_risk", "At Risk", 85),
        ("churned", "Churned", 0),
    )
]
"""Customers by stage of the company of the examples."""
_BANDS_EXAMPLE: Final = [
    {"band": band.name, "risk_min": band.low / 100, "risk_max": band.high / 100, "customers": customers}
    for band, customers in zip(BANDS, (930, 210, 85, 25), strict=True)
]


class StageCount(ResponseModel):
    """The number of customers in a stage."""

    stage_key: str = Field(description="Key of the stage", examples=["regular"])
    stage_name: str = Field(description="Name of the stage", examples=["Regular Customer"])
    customers: int = Field(ge=0, description="Customers in the stage", examples=[120])

    @classmethod
    def of(cls, stage: Stage, customers: int) -> "StageCount":
        """Returns the schema of a stage and its customers."""
        return cls(stage_key=stage.key, stage_name=stage.name, customers=customers)


class Distribution(ResponseModel):
    """Customers by stage at one time, in the order of the stage map of that time, including empty stages."""

    as_of: Timestamp = Field(description="Time as of which the customers were counted")
    total: int = Field(ge=0, description="Customers in all stages", examples=[1_250])
    items: list[StageCount] = Field(
        description="Stages with their customers", examples=[STAGE_COUNTS_EXAMPLE]
    )

    @classmethod
    def of(cls, distribution: overview.DistributionReport) -> "Distribution":
        """Returns the schema of a distribution."""
        return cls(
            as_of=distribution.as_of,
            total=sum(customers for _, customers in distribution.stages),
            items=[StageCount.of(stage, customers) for stage, customers in distribution.stages],
        )


class RiskBand(ResponseModel):
    """The number of customers whose risk score lies in a range."""

    band: BandName = Field(
        description="Name of the band: `low`, `medium`, `high` or `critical`", examples=["high"]
    )
    risk_min: float = Field(
        ge=0, le=1, description="Lowest risk score of the band, 0 to 1, included", examples=[0.71]
    )
    risk_max: float = Field(
        ge=0, le=1, description="Highest risk score of the band, 0 to 1, included", examples=[0.8]
    )
    customers: int = Field(ge=0, description="Customers in the band", examples=[85])


class RiskDistribution(ResponseModel):
    """Number of customers in each band of the stored risk score, now."""

    as_of: Timestamp = Field(description="Time as of which the customers were counted")
    total: int = Field(ge=0, description="Customers in all bands", examples=[1_250])
    items: list[RiskBand] = Field(
        description="Bands with their customers, lowest risk first", examples=[_BANDS_EXAMPLE]
    )

    @classmethod
    def of(cls, risks: overview.RiskReport) -> "RiskDistribution":
        """Returns the schema of a risk distribution."""
        return cls(
            as_of=risks.as_of,
            total=sum(customers for _, customers in risks.bands),
            items=[
                RiskBand(
                    band=band.name,  # type: ignore[arg-type]  # the domain has exactly these bands
                    risk_min=band.low / 100,
                    risk_max=band.high / 100,
                    customers=customers,
                )
                for band, customers in risks.bands
            ],
        )
