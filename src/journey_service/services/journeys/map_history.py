"""Versions of the stage map that a customer has yet to be migrated to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from journey_service.domain.actions.company_context import Desk
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Activation, Relationship, Rulebook
from journey_service.repositories.unit_of_work import Work


@dataclass(frozen=True, slots=True)
class Adoption:
    """A version of the stage map that some customers have yet to go over to."""

    rulebook: Rulebook
    at: datetime
    activation: Activation


@dataclass(frozen=True, slots=True)
class Adoptions:
    """What leads customers, each from the version that decides for them, to the one in force.

    `former` are the rulebooks they may still be under, by version.
    """

    adopted_version: int
    former: Mapping[int, Rulebook] = field(default_factory=dict)
    pending: Sequence[Adoption] = ()

    def journey(
        self, relationship: Relationship, rulebook: Rulebook, kind: type[Journey] = Journey
    ) -> Journey:
        """The journey of a customer who has gone over to the version in force, at the instants that was due."""
        version = max(relationship.map_version, self.adopted_version)
        if version >= rulebook.stage_map.version:
            return kind(relationship, rulebook)
        journey = kind(relationship, self.former[version])
        for adoption in self.pending:
            if adoption.rulebook.stage_map.version > version:
                journey.adopt(adoption.rulebook, adoption.at, adoption.activation)
        return journey


async def adoptions(work: Work, desk: Desk) -> Adoptions:
    """What customers of the company may still have to go over to; almost always nothing."""
    adopted, policy = desk.company.adopted_version, desk.rulebook.policy
    if adopted >= desk.company.map_version:
        return Adoptions(adopted)
    former = {adopted: Rulebook(await work.stage_maps.get(adopted), policy)}
    pending = []
    for version in await work.stage_maps.since(adopted):
        rulebook = Rulebook(await work.stage_maps.get(version.version), policy)
        former[version.version] = rulebook
        pending.append(Adoption(rulebook, version.activated_at or version.created_at, version.activation))
    return Adoptions(adopted, former, pending)
