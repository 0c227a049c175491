"""Errors of customers."""

from journey_service.domain.errors import ConflictError, NotFoundError


class CustomerNotFoundError(NotFoundError):
    """The company has no customer with this id."""

    code = "customer-not-found"
    title = "Customer not found"

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"There is no customer {customer_id}.")


class CustomerErasedError(ConflictError):
    """The customer was erased; the id is never used again."""

    code = "customer-erased"
    title = "The customer was erased"

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"Customer {customer_id} was erased; use a new id for a returning customer.")
