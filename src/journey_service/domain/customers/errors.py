"""Errors of customers."""

from collections.abc import Mapping

from journey_service.domain.errors import ConflictError, NotFoundError


class CustomerNotFoundError(NotFoundError):
    """The company has no customer with this id or ref."""

    code = "customer-not-found"
    title = "Customer not found"

    def __init__(self, customer_id: int | str) -> None:
        super().__init__(f"There is no customer {customer_id}.")


class CustomerErasedError(ConflictError):
    """The customer was erased; the id is never used again."""

    code = "customer-erased"
    title = "The customer was erased"

    def __init__(self, customer_id: int | str) -> None:
        super().__init__(f"Customer {customer_id} was erased; use a new id for a returning customer.")


class CustomerMergedError(ConflictError):
    """The customer was merged into another one before."""

    code = "customer-merged"
    title = "The customer was merged before"

    def __init__(self, customer_id: int, survivor_id: int) -> None:
        super().__init__(f"Customer {customer_id} was merged into customer {survivor_id} before.")
        self.survivor_id = survivor_id

    def context(self) -> Mapping[str, object]:
        """Returns the id of the customer that this one was merged into."""
        return {"merged_into": self.survivor_id}


class SelfMergeError(ConflictError):
    """A customer cannot be merged into itself."""

    code = "merge-with-itself"
    title = "A customer cannot be merged with itself"

    def __init__(self, customer_id: int) -> None:
        super().__init__(f"Customer {customer_id} cannot be merged with itself; nothing was changed.")
