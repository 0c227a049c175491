"""Schemas that select the customers of a bulk request: by ids, or by a filter of the customers at risk."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Final

from pydantic import Field

from journey_service.api.schema_fields import (
    SEARCHED_WORDS,
    NamedCustomers,
    RequestModel,
    SingleLineText,
    StageKey,
    Text,
)
from journey_service.domain.analytics import records
from journey_service.domain.errors import InvalidInputError
from journey_service.services.customers.bulk_targets import (
    MAX_MATCHING_CUSTOMERS,
    MAX_NAMED_CUSTOMERS,
    BulkSelection,
)

_MAX_STAGES: Final = 50


class RiskFilter(RequestModel):
    """Filter of customers at risk, with the meaning of the parameters of `GET /portal/customers/at-risk`."""

    stage: list[StageKey] | None = Field(
        default=None,
        max_length=_MAX_STAGES,
        description="Only customers in a stage with one of these keys; null, omitted or empty: all stages",
        examples=[["at_risk"]],
    )
    owner: SingleLineText | None = Field(
        default=None, description="Only customers of this owner; null or omitted: all", examples=["ben"]
    )
    days_min: int | None = Field(
        default=None,
        strict=True,
        ge=0,
        le=records.MAX_FILTER_DAYS,
        description="Only customers whose last appointment was at least this many days of 24 hours ago; null or"
        " omitted: all",
        examples=[90],
    )
    value_min: float | None = Field(
        default=None,
        ge=-records.MAX_FILTER_VALUE,
        le=records.MAX_FILTER_VALUE,
        allow_inf_nan=False,
        description="Only customers with at least this lifetime value, in the company's currency; null or omitted: all",
        examples=[500],
    )
    q: Annotated[Text, Field(max_length=records.MAX_FILTER_TEXT_LENGTH)] | None = Field(
        default=None,
        description=f"{SEARCHED_WORDS}. Null, omitted or empty: all",
        examples=["grace"],
    )

    def to_domain(self) -> records.RiskFilter:
        """Converts the filter."""
        value_min = None if self.value_min is None else Decimal(str(self.value_min))
        return records.RiskFilter(self.stage or (), self.owner, self.days_min, value_min, self.q or None)


class CustomerSelection(RequestModel):
    """The customers of a bulk request, and whether it is a dry run."""

    customer_ids: NamedCustomers | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_NAMED_CUSTOMERS,
        description="The customers, each by id or by `ref:` and the `customer_ref`. Each must be known or erased;"
        " null or omitted: those that match"
        " `filter`",
        examples=[[4711, 4712]],
    )
    filter: RiskFilter | None = Field(
        default=None,
        description="Filter of the customers at risk, which determines the customers when the request is accepted; an"
        f" empty filter matches all of them. It must match at most {MAX_MATCHING_CUSTOMERS:,} customers. Null or"
        " omitted: those in `customer_ids`",
    )
    dry_run: bool = Field(
        default=False,
        strict=True,
        description="Whether to return only what would happen; nothing is changed, and the key is not used up",
        examples=[False],
    )

    def to_selection(self, customer_ids: Sequence[int] | None) -> BulkSelection:
        """Converts the selection of the customers with these ids. Raises InvalidInputError."""
        if (self.customer_ids is None) == (self.filter is None):
            raise InvalidInputError.at("", "must contain either customer_ids or filter")
        return BulkSelection(customer_ids, None if self.filter is None else self.filter.to_domain())
