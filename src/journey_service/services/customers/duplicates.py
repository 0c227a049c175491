"""Suspected duplicates: groups of customers who share a mailbox or a phone number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from journey_service.domain.customers.records import DuplicateGroup, DuplicateReason
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork

REASONS: Final[Sequence[DuplicateReason]] = get_args(DuplicateReason)
"""Reasons in the order of the list."""


@dataclass(frozen=True, slots=True)
class DuplicateCustomer:
    """A customer of a group: the name, and key and name of the current stage."""

    customer_id: int
    name: str | None
    stage_key: str
    stage_name: str


@dataclass(frozen=True, slots=True)
class DuplicatePage:
    """A page of groups, and the customers of all of them by id."""

    groups: Sequence[DuplicateGroup]
    customers: Mapping[int, DuplicateCustomer]


async def list_duplicates(
    database: Database,
    company_id: int,
    reason: DuplicateReason | None,
    after: tuple[DuplicateReason, str] | None,
    *,
    limit: int,
    customer_id: int | None = None,
) -> DuplicatePage:
    """Lists groups of customers who share a value, by reason and value, after a reason and value.

    None as the reason lists the groups of each; a customer, only the groups that they belong to. Raises
    CompanyNotFoundError.
    """
    reasons = REASONS if reason is None else [reason]
    if after is not None:
        reasons = [each for each in reasons if REASONS.index(each) >= REASONS.index(after[0])]

    async def unit(uow: UnitOfWork) -> DuplicatePage:
        groups: list[DuplicateGroup] = []
        for each in reasons:
            start = after[1] if after is not None and after[0] == each else ""
            if len(groups) < limit:
                groups += await uow.duplicates.page(
                    each, start, limit=limit - len(groups), customer_id=customer_id
                )
        return DuplicatePage(groups, await _customers(uow, groups))

    return await database.run(company_id, unit, is_repeatable_read=True)


async def _customers(uow: UnitOfWork, groups: Sequence[DuplicateGroup]) -> dict[int, DuplicateCustomer]:
    stages = (await uow.companies.get_context()).rulebook.stage_map.by_key
    ids = sorted({id_ for group in groups for id_ in group.customer_ids})
    profiles, keys = await uow.customers.get_many(ids), await uow.duplicates.get_stages(ids)
    return {
        id_: DuplicateCustomer(id_, profiles[id_].name, key, stages[key].name if key in stages else key)
        for id_, key in keys.items()
    }
