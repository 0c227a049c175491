"""Response schemas of suspected duplicates among customers."""

from enum import StrEnum

from pydantic import Field

from journey_service.api.schema_fields import (
    AnyCustomerId,
    CustomerName,
    NextCursor,
    ResponseModel,
    StageKey,
)
from journey_service.domain.customers.records import DuplicateGroup
from journey_service.services.customers.duplicates import DuplicateCustomer, DuplicatePage


class DuplicateReason(StrEnum):
    """What customers share who may be the same person."""

    EMAIL = "email"
    PHONE = "phone"


class SuspectedDuplicate(ResponseModel):
    """A customer who shares a value with others."""

    customer_id: AnyCustomerId = Field(description="Id of the customer")
    name: CustomerName
    current_stage: StageKey = Field(description="Key of the current stage")
    stage_name: str = Field(description="Name of the current stage", examples=["Regular Customer"])

    @classmethod
    def of(cls, customer: DuplicateCustomer) -> "SuspectedDuplicate":
        """Builds the response from a customer of a group."""
        return cls(
            customer_id=customer.customer_id,
            name=customer.name,
            current_stage=customer.stage_key,
            stage_name=customer.stage_name,
        )


class DuplicateCustomers(ResponseModel):
    """Customers who share an email address or a phone number."""

    reason: DuplicateReason = Field(
        description="What the customers share. `email`: the email address, in any case; `phone`: the digits of the"
        " phone number, in international form if the country is known",
        examples=["email"],
    )
    value: str = Field(
        description="The shared email address in lower case, or the shared digits",
        examples=["ada@customers.example"],
    )
    number: int = Field(ge=2, description="Number of customers who share the value", examples=[2])
    customers: list[SuspectedDuplicate] = Field(description="The first ten of them, by id")

    @classmethod
    def of(cls, group: DuplicateGroup, page: DuplicatePage) -> "DuplicateCustomers":
        """Builds the response from a group of a page."""
        return cls(
            reason=DuplicateReason(group.reason),
            value=group.value,
            number=group.number,
            customers=[
                SuspectedDuplicate.of(page.customers[id_])
                for id_ in group.customer_ids
                if id_ in page.customers
            ],
        )


class DuplicateCustomersPage(ResponseModel):
    """A page of groups of customers who may be the same person."""

    items: list[DuplicateCustomers] = Field(description="The groups of this page")
    next_cursor: NextCursor
