"""What moves do beyond moving: actions planned and dropped, campaigns ended, in the transaction of the move itself.

Where a company's time is moved by hand, what falls due on the way happens here too, each at its own instant.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.agenda import Action, Agenda, NewsType, State, is_heard
from journey_service.domain.events import EARLIEST
from journey_service.domain.journey import Journey
from journey_service.repositories.agendas import Stored
from journey_service.repositories.companies import Desk
from journey_service.repositories.unit_of_work import Work

_WITH_THEIR_CAUSE: Final = ("event", "manual", "start")
"""Moves that come after what falls due at the same instant; those that time brings come before."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A customer worked on in this transaction: the row, the journey, and whether there was none before."""

    relationship_id: int
    journey: Journey
    is_new: bool


@dataclass(slots=True)
class Agendas:
    """Agendas being decided on, by the id of the relationship, and whose the customers were before."""

    desk: Desk
    by_id: dict[int, Agenda]
    owners: dict[int, str | None]

    async def save(self, work: Work, *, only: Collection[int] | None = None) -> None:
        """Write what is new or otherwise than before."""
        chosen = {id_: agenda for id_, agenda in self.by_id.items() if only is None or id_ in only}
        owners = {
            id_: agenda.owner
            for id_, agenda in chosen.items()
            if agenda.owner is not None and agenda.owner != self.owners.get(id_)
        }
        await work.agendas.save(chosen, is_simulated=is_simulated(self.desk), owners=owners)


def is_simulated(desk: Desk) -> bool:
    """Whether the company's time stands still until it is moved."""
    return desk.company.clock_at is not None


async def load(
    work: Work, desk: Desk, versions: Mapping[int, int], *, now: datetime, without: Collection[int] = ()
) -> Agendas:
    """The agendas of relationships that are held, by id with the seq of their last move; `without` have none yet."""
    asked = [id_ for id_ in versions if id_ not in without]
    # Where time is moved, things happen long before now: of these, all that was ever sent counts.
    span = timedelta(days=desk.rulebook.policy.frequency_cap_days)
    stored = await work.agendas.load(asked, since=EARLIEST if is_simulated(desk) else now - span)
    return Agendas(
        desk,
        {id_: _agenda(desk, id_, version, stored.get(id_)) for id_, version in versions.items()},
        {id_: one.owner for id_, one in stored.items()},
    )


async def follow(
    work: Work, desk: Desk, moved: Iterable[Moved], *, now: datetime, runs_actions: bool
) -> None:
    """Do what the moves written in this transaction call for; without `runs_actions` they plan nothing new."""
    simulated = is_simulated(desk)
    concerned = {
        one.relationship_id: one
        for one in moved
        # Whoever was erased keeps ageing, and nobody is told.
        if one.journey.relationship.customer_id >= 0 and (one.journey.written or simulated)
    }
    if not concerned:
        return
    agendas = await load(
        work,
        desk,
        {id_: one.journey.relationship.version - len(one.journey.written) for id_, one in concerned.items()},
        now=now,
        without=[id_ for id_, one in concerned.items() if one.is_new],
    )
    for id_, one in concerned.items():
        _follow(agendas.by_id[id_], one.journey, desk, now, runs_actions=runs_actions)
    await agendas.save(work)


def _follow(agenda: Agenda, journey: Journey, desk: Desk, now: datetime, *, runs_actions: bool) -> None:
    simulated = is_simulated(desk)
    gone: list[Action] = []
    for transition in journey.written:
        at = transition.transitioned_at
        if simulated:
            gone += agenda.settle(at, is_through=transition.cause.kind in _WITH_THEIR_CAUSE)
        is_loud = runs_actions and is_heard(transition, now, has_test_clock=simulated)
        agenda.move(transition, is_loud=is_loud)
    if simulated:
        gone += agenda.settle(now, is_through=True)
    if desk.company.delivers:
        for action in gone:
            action.state, action.finished_at, action.is_cleared = State.PENDING, None, True
    if not runs_actions:
        agenda.news = [one for one in agenda.news if one.type is NewsType.CAMPAIGN_ENDED]


def _agenda(desk: Desk, relationship_id: int, version: int, stored: Stored | None) -> Agenda:
    agenda = Agenda(
        policy=desk.rulebook.policy,
        zone=ZoneInfo(desk.company.timezone),
        stage_map=desk.rulebook.stage_map,
        playbook=desk.playbook,
        spread=relationship_id,
        version=version,
    )
    if stored is not None:
        agenda.reach, agenda.owner, agenda.sent = stored.reach, stored.owner, stored.sent
        agenda.actions, agenda.campaigns, agenda.tasks = stored.actions, stored.campaigns, stored.tasks
    return agenda


def changed(agendas: Agendas) -> Sequence[int]:
    """The relationships whose agendas have anything to be written."""
    return [
        id_
        for id_, agenda in agendas.by_id.items()
        if agenda.planned or agenda.news or any(action.is_changed for action in agenda.actions)
    ]
