"""Expected failures of customers."""

from journey_service.domain.errors import ConflictError, NotFoundError


class CustomerNotFoundError(NotFoundError):
    """No customer has this id."""

    code = "customer-not-found"
    title = "Customer not found"

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"No customer {customer_id}.")


class CustomerErasedError(ConflictError):
    """The customer was erased: under this id nobody is known any more, for good."""

    code = "customer-erased"
    title = "The customer was erased"

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"Customer {customer_id} was erased; whoever comes back gets a new id.")
