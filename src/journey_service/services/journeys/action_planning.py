"""What moves do beyond moving: actions planned and dropped, campaigns ended, in the transaction of the move itself.

Where a company's time is moved by hand, what falls due on the way happens here too, each at its own instant.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.actions.action import Action, State
from journey_service.domain.actions.action_plan import Agenda
from journey_service.domain.actions.company_context import Desk
from journey_service.domain.actions.timing import is_heard
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.journeys.journey import Journey
from journey_service.repositories.actions.action_plans import Stored
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
    work: Work,
    desk: Desk,
    moved: Iterable[Moved],
    *,
    now: datetime,
    runs_actions: bool,
    is_history: bool = False,
) -> Mapping[int, str | None]:
    """Do what the moves written in this transaction call for; without `runs_actions` they plan nothing new.

    Of history, those of long ago do not either: wherever the company's clock is, nobody has moved it over them.
    Returns whose the customers concerned are now, by the id of the relationship.
    """
    simulated = is_simulated(desk)
    concerned = {
        one.relationship_id: one
        for one in moved
        # Whoever was erased keeps ageing, and nobody is told.
        if one.journey.relationship.customer_id >= 0 and (one.journey.written or simulated)
    }
    if not concerned:
        return {}
    agendas = await load(
        work,
        desk,
        {id_: one.journey.relationship.version - len(one.journey.written) for id_, one in concerned.items()},
        now=now,
        # Where time is moved, what falls due happens at once: how somebody may be reached has to be known.
        without=() if simulated else [id_ for id_, one in concerned.items() if one.is_new],
    )
    for id_, one in concerned.items():
        agenda = agendas.by_id[id_]
        loud = _loud(one.journey, desk, now, is_history=is_history) if runs_actions else ()
        _follow(agenda, one.journey, desk, now, loud=loud)
        if is_history or not runs_actions:
            agenda.news = [
                news for news in agenda.news if news.transition_seq is None or news.transition_seq in loud
            ]
    await agendas.save(work)
    return {id_: agenda.owner for id_, agenda in agendas.by_id.items()}


def _loud(journey: Journey, desk: Desk, now: datetime, *, is_history: bool) -> Collection[int]:
    """The seqs of those moves that run the actions of the stage entered."""
    at = desk.now if is_history else now
    has_test_clock = is_simulated(desk) and not is_history
    return [each.seq for each in journey.written if is_heard(each, at, has_test_clock=has_test_clock)]


def _follow(agenda: Agenda, journey: Journey, desk: Desk, now: datetime, *, loud: Collection[int]) -> None:
    simulated = is_simulated(desk)
    gone: list[Action] = []
    for transition in journey.written:
        at = transition.transitioned_at
        if simulated:
            gone += agenda.settle(at, is_through=transition.cause.kind in _WITH_THEIR_CAUSE)
        agenda.move(transition, is_loud=transition.seq in loud)
    if simulated:
        gone += agenda.settle(now, is_through=True)
    if desk.company.delivers:
        for action in gone:
            action.state, action.finished_at, action.is_cleared = State.PENDING, None, True


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
