"""API keys and sign-in links of the demo, created again at each start so that none has to be stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from journey_service.demo.seeding import BUSINESSES, DEMO_COMPANIES, is_demo
from journey_service.domain.access.actors import EVERYTHING, Actor, Role
from journey_service.domain.companies.errors import CompanyNotFoundError
from journey_service.repositories.database import Database
from journey_service.services.access.key_installation import install_key
from journey_service.services.access.sessions import create_link

_ACTOR: Final = Actor("demo")


@dataclass(frozen=True, slots=True)
class DemoKey:
    """API key with all scopes for one company of the demo, and a single-use link that signs a browser in."""

    company_id: int
    name: str
    token: str
    link: str


async def create_demo_keys(
    database: Database, *, pepper: str, ids: Sequence[int] = DEMO_COMPANIES
) -> list[DemoKey]:
    """Creates a new key for each existing company of the demo, and revokes the previous one."""
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
        # The session has the name of the front desk employee, so that "my tasks" is not empty.
        link = await create_link(database, company_id, Role.ADMIN, by=Actor(business.staff[0]))
        keys.append(DemoKey(company_id, business.name, token, link))
    return keys


def _key_id(company_id: int) -> str:
    # Keys are looked up before the company is known, so key ids are unique across companies.
    return "demo" if company_id == DEMO_COMPANIES[0] else f"demo-{company_id}"
