"""The customers of a bulk request: those that it names, or those at risk that match its filter."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.analytics.records import RiskFilter
from journey_service.domain.errors import FieldError, IdempotencyKeyReusedError, InvalidInputError
from journey_service.domain.operations.records import Job
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.analytics.risk_list import criteria_of

MAX_NAMED_CUSTOMERS: Final = 10_000
"""Customers that one request may name; more are refused."""
MAX_MATCHING_CUSTOMERS: Final = 50_000
"""Customers that a filter may match; if more match, the request is refused."""


@dataclass(frozen=True, slots=True)
class BulkSelection:
    """The named customers, or those at risk that match a filter."""

    customer_ids: Sequence[int] | None = None
    filter_: RiskFilter | None = None

    @property
    def written(self) -> dict[str, Any]:
        """The selection as JSON that is equal for equal selections."""
        customer_ids = None if self.customer_ids is None else sorted(set(self.customer_ids))
        filter_ = None if self.filter_ is None else asdict(self.filter_)
        return {
            "customer_ids": customer_ids,
            "filter": None
            if filter_ is None
            else {
                **filter_,
                "stages": sorted(set(filter_["stages"])),
                "value_min": str(filter_["value_min"]),
            },
        }


@dataclass(frozen=True, slots=True)
class BulkKey:
    """The Idempotency-Key of a bulk request, None without one, and the hash of the request."""

    value: str | None
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class BulkTargets:
    """The relationships of the customers, in order, and the number of named customers who were erased."""

    relationship_ids: Sequence[int]
    erased: int

    @property
    def total(self) -> int:
        """Number of customers."""
        return len(self.relationship_ids) + self.erased


async def find_targets(uow: UnitOfWork, context: CompanyContext, selection: BulkSelection) -> BulkTargets:
    """Returns the customers of a selection as of now.

    Raises InvalidInputError for customers who are not known, and for a filter that matches too many.
    """
    if selection.customer_ids is not None:
        return await _find_named(uow, selection.customer_ids)
    filter_ = selection.filter_ or RiskFilter()
    found = await uow.risk_list.list_relationship_ids(
        criteria_of(context), filter_, limit=MAX_MATCHING_CUSTOMERS + 1
    )
    if len(found) > MAX_MATCHING_CUSTOMERS:
        raise InvalidInputError.at(
            "/filter", f"must match at most {MAX_MATCHING_CUSTOMERS} customers, and matches more"
        )
    return BulkTargets(found, 0)


async def _find_named(uow: UnitOfWork, customer_ids: Sequence[int]) -> BulkTargets:
    known = await uow.relationships.get_ids(customer_ids)
    erased = await uow.tombstones.find_erased(id_ for id_ in customer_ids if id_ not in known)
    errors = [
        FieldError(f"/customer_ids/{index}", "is not a known customer")
        for index, customer_id in enumerate(customer_ids)
        if customer_id not in known and customer_id not in erased
    ]
    if errors:
        raise InvalidInputError(errors)
    return BulkTargets(sorted(set(known.values())), len(erased))


async def find_earlier(uow: UnitOfWork, kind: str, key: BulkKey) -> Job | None:
    """Finds the job that was created with the same key. Raises IdempotencyKeyReusedError."""
    earlier = None if key.value is None else await uow.jobs.find_by_request(kind, key.value)
    if earlier is None:
        return None
    job, earlier_hash = earlier
    if earlier_hash != key.request_hash:
        raise IdempotencyKeyReusedError
    return job


async def enqueue_bulk(
    uow: UnitOfWork,
    kind: str,
    targets: BulkTargets,
    parameters: Mapping[str, Any],
    *,
    key: BulkKey,
    by: Actor,
) -> Job:
    """Enqueues the job of a bulk request for its customers, with the parameters of its kind."""
    values = {
        **parameters,
        "relationship_ids": list(targets.relationship_ids),
        "erased": targets.erased,
        "actor": {"is_operator": by.is_operator, "reason": by.reason, "request_id": by.request_id},
    }
    request = None if key.value is None else (key.value, key.request_hash)
    job_id = await uow.jobs.enqueue(kind, values, actor=by.name, request=request)
    created = await uow.jobs.find(job_id)
    assert created is not None  # it was just written
    return created
