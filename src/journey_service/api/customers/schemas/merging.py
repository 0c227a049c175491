"""Schemas of merging two customers."""

from pydantic import Field

from journey_service.api.customers.schemas.consents import ConsentChange
from journey_service.api.customers.schemas.customers import Customer
from journey_service.api.schema_fields import AnyCustomerId, NamedCustomer, RequestModel, ResponseModel
from journey_service.services.customers import merging, profiles


class MergeCreate(RequestModel):
    """The customer to be merged into the one of the path."""

    merge: NamedCustomer = Field(
        description="The customer to be merged, by id or by `ref:` and the `customer_ref`; afterwards they lead to the"
        " survivor",
        examples=[4712],
    )


class CustomerMerge(ResponseModel):
    """The outcome of a merge, or what it would be."""

    merged_id: AnyCustomerId = Field(
        description="Id of the merged customer, which leads to the survivor", examples=[4712]
    )
    from_stage: str = Field(
        description="Key of the survivor's stage before the merge; `customer.journey` has the stage after it",
        examples=["regular"],
    )
    filled_fields: list[str] = Field(
        description="Fields of the profile and of the journey (`owner`, `notes`, `metadata`) that were empty and were"
        " taken over from the merged customer",
        examples=[["phone"]],
    )
    consent_changes: list[ConsentChange] = Field(
        description="Consents that were taken over from the merged customer because they were stricter",
        examples=[[]],
    )
    events: int = Field(
        ge=0,
        description="Number of events that the survivor took over, whether they count or not",
        examples=[12],
    )
    open_tasks: int = Field(
        ge=0,
        description="Number of open tasks that the survivor took over; those of a running campaign end with it",
        examples=[1],
    )
    customer: Customer = Field(description="The survivor after the merge")

    @classmethod
    def of(cls, result: merging.MergeResult) -> "CustomerMerge":
        """Builds the response from the outcome of a merge."""
        return cls(
            merged_id=result.merged_id,
            from_stage=result.from_stage,
            filled_fields=list(result.fields),
            consent_changes=[ConsentChange.of(change) for change in result.consents],
            events=result.events,
            open_tasks=result.tasks,
            customer=Customer.of(profiles.CustomerView(result.profile, result.view)),
        )
