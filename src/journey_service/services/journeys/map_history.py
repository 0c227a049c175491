"""Versions of the stage map that a customer has yet to be migrated to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.journeys.journey import Journey
from journey_service.domain.journeys.relationship import Activation, Relationship, Rulebook
from journey_service.repositories.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class PendingMapVersion:
    """A version of the stage map to which some customers have yet to be migrated."""

    rulebook: Rulebook
    at: datetime
    activation: Activation


@dataclass(frozen=True, slots=True)
class MapVersionHistory:
    """The versions through which customers are migrated to the current one.

    `former` holds the rulebooks by which customers may still be evaluated, by version.
    """

    migrated_version: int
    former: Mapping[int, Rulebook] = field(default_factory=dict)
    pending: Sequence[PendingMapVersion] = ()

    def journey(
        self, relationship: Relationship, rulebook: Rulebook, kind: type[Journey] = Journey
    ) -> Journey:
        """Returns a customer's journey migrated to the current version, as of the instants of the activations."""
        version = max(relationship.map_version, self.migrated_version)
        if version >= rulebook.stage_map.version:
            return kind(relationship, rulebook)
        journey = kind(relationship, self.former[version])
        for pending in self.pending:
            if pending.rulebook.stage_map.version > version:
                journey.apply_stage_map(pending.rulebook, pending.at, pending.activation)
        return journey


async def load_map_history(uow: UnitOfWork, context: CompanyContext) -> MapVersionHistory:
    """Loads the versions to which customers of the company have yet to be migrated; usually none."""
    migrated, policy = context.company.migrated_version, context.rulebook.policy
    if migrated >= context.company.map_version:
        return MapVersionHistory(migrated)
    present = context.rulebook
    former = {migrated: present._replace(stage_map=await uow.stage_maps.get(migrated, policy.currency))}
    pending = []
    for version in await uow.stage_maps.list_after(migrated):
        rulebook = present._replace(stage_map=await uow.stage_maps.get(version.version, policy.currency))
        former[version.version] = rulebook
        pending.append(
            PendingMapVersion(rulebook, version.activated_at or version.created_at, version.activation)
        )
    return MapVersionHistory(migrated, former, pending)
