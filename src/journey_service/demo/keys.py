"""Keys to the demo: made afresh each time, so that none has to be kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from journey_service.demo.seeding import BUSINESSES, DEMO_COMPANIES, is_demo
from journey_service.domain.access.actors import EVERYTHING, Actor, Role
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.repositories.database import Database
from journey_service.services.access.credentials import install_key
from journey_service.services.access.sessions import create_link

_ACTOR: Final = Actor("demo")


@dataclass(frozen=True, slots=True)
class DemoKey:
    """A key to everything of one company of the demo, and what signs a browser in there once."""

    company_id: int
    name: str
    token: str
    link: str


async def hand_out_keys(
    database: Database, *, pepper: str, ids: Sequence[int] = DEMO_COMPANIES
) -> list[DemoKey]:
    """Make a fresh key for each company of the demo that there is; the one handed out before ends."""
    keys = []
    for company_id, business in zip(ids, BUSINESSES, strict=True):
        try:
            if not await is_demo(database, company_id, business):
                continue
        except CompanyNotFoundError:
            continue
        token = await install_key(
            database,
            company_id,
            key_id=_key_id(company_id),
            scopes=[EVERYTHING],
            pepper=pepper,
            by=_ACTOR,
        )
        link = await create_link(database, company_id, Role.ADMIN, by=_ACTOR)
        keys.append(DemoKey(company_id, business.name, token, link))
    return keys


def _key_id(company_id: int) -> str:
    # A key is looked up before its company is known, so no two may share an id.
    return "demo" if company_id == DEMO_COMPANIES[0] else f"demo-{company_id}"
