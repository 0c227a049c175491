"""The ledger of transitions: append only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.journeys.records import EnteredStage, TransitionRecord
from journey_service.domain.journeys.relationship import Motion, Transition, TransitionCause, TriggerType
from journey_service.domain.stages.reasons import ConditionReason, RuleReason, StageReason
from journey_service.repositories.tables import Row

_INSERT: Final = text(
    "INSERT INTO journey_transitions (company_id, relationship_id, seq, from_stage, to_stage,"
    " transitioned_at, trigger_type, trigger_event, performed_by, actor, notes, reasons, request,"
    " map_version, is_silent, cause_kind, cause_id, motion, since)"
    " SELECT :company_id, relationship_id, seq, from_stage, to_stage, transitioned_at, trigger_type,"
    " trigger_event, performed_by, actor, notes, CAST(reasons AS jsonb), CAST(request AS jsonb),"
    " map_version, is_silent, cause_kind, cause_id, motion, since"
    " FROM unnest(CAST(:relationship_id AS bigint[]), CAST(:seq AS bigint[]), CAST(:from_stage AS text[]),"
    " CAST(:to_stage AS text[]), CAST(:transitioned_at AS timestamptz[]), CAST(:trigger_type AS text[]),"
    " CAST(:trigger_event AS text[]), CAST(:performed_by AS bigint[]), CAST(:actor AS text[]),"
    " CAST(:notes AS text[]), CAST(:reasons AS text[]), CAST(:request AS text[]),"
    " CAST(:map_version AS int[]), CAST(:is_silent AS bool[]), CAST(:cause_kind AS text[]), CAST(:cause_id AS text[]),"
    " CAST(:motion AS text[]), CAST(:since AS timestamptz[]))"
    " AS t(relationship_id, seq, from_stage, to_stage, transitioned_at, trigger_type, trigger_event,"
    " performed_by, actor, notes, reasons, request, map_version, is_silent, cause_kind, cause_id, motion, since)"
    " RETURNING id, relationship_id, seq, recorded_at"
)
_COLUMNS: Final = (
    "id, relationship_id, seq, from_stage, to_stage, transitioned_at, recorded_at, trigger_type,"
    " trigger_event, performed_by, actor, notes, reasons, request, map_version, is_silent,"
    " cause_kind, cause_id, motion, since"
)
# One index lookup per key, as for events.
_GET_MANY: Final = text(
    "SELECT t.* FROM unnest(CAST(:relationship_ids AS bigint[]), CAST(:seqs AS bigint[]))"
    f" AS k(relationship_id, seq) CROSS JOIN LATERAL (SELECT {_COLUMNS} FROM journey_transitions"
    " WHERE company_id = :company_id AND relationship_id = k.relationship_id AND seq = k.seq"
    " LIMIT 1) t"
)
_PAGE: Final = text(
    f"SELECT {_COLUMNS} FROM journey_transitions"
    " WHERE company_id = :company_id AND relationship_id = :relationship_id AND seq < :before"
    " ORDER BY seq DESC LIMIT :limit"
)
_FIND_AT: Final = text(
    f"SELECT {_COLUMNS} FROM journey_transitions"
    " WHERE company_id = :company_id AND relationship_id = :relationship_id AND transitioned_at <= :as_of"
    " ORDER BY transitioned_at DESC, seq DESC LIMIT 1"
)
_LIST_STAGES: Final = text(
    "SELECT seq, to_stage, transitioned_at, map_version FROM journey_transitions"
    " WHERE company_id = :company_id AND relationship_id = :relationship_id AND transitioned_at <= :until"
    " ORDER BY transitioned_at, seq"
)
_FIND_BY_CAUSE: Final = text(
    f"SELECT {_COLUMNS} FROM journey_transitions"
    " WHERE company_id = :company_id AND relationship_id = :relationship_id"
    " AND cause_kind = :kind AND cause_id = :id"
)
_MAX_SEQ: Final = 2**62


class Transitions:
    """The transitions of one company's customers."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def insert(self, rows: Sequence[tuple[int, Transition]]) -> dict[tuple[int, int], TransitionRecord]:
        """Inserts transitions with their relationship ids; returns them by (relationship id, seq)."""
        if not rows:
            return {}
        moves = [transition for _, transition in rows]
        inserted = await self._connection.execute(
            _INSERT,
            {
                "company_id": self._company_id,
                "relationship_id": [id_ for id_, _ in rows],
                "seq": [move.seq for move in moves],
                "from_stage": [move.from_stage for move in moves],
                "to_stage": [move.to_stage for move in moves],
                "transitioned_at": [move.transitioned_at for move in moves],
                "trigger_type": [move.trigger_type.value for move in moves],
                "trigger_event": [move.trigger_event for move in moves],
                "performed_by": [move.performed_by for move in moves],
                "actor": [move.actor for move in moves],
                "notes": [move.notes for move in moves],
                "reasons": [_reasons_to_json(move.reasons) for move in moves],
                "request": [
                    None if move.request is None else orjson.dumps(move.request).decode() for move in moves
                ],
                "map_version": [move.map_version for move in moves],
                "is_silent": [move.is_silent for move in moves],
                "cause_kind": [move.cause.kind for move in moves],
                "cause_id": [move.cause.id for move in moves],
                "motion": [move.motion.value for move in moves],
                "since": [move.since for move in moves],
            },
        )
        by_key = {(id_, move.seq): move for id_, move in rows}
        return {
            (row.relationship_id, row.seq): TransitionRecord(
                row.id, by_key[row.relationship_id, row.seq], row.recorded_at
            )
            for row in inserted
        }

    async def get_many(self, keys: Sequence[tuple[int, int]]) -> dict[tuple[int, int], TransitionRecord]:
        """Returns transitions by (relationship id, seq)."""
        if not keys:
            return {}
        rows = await self._connection.execute(
            _GET_MANY,
            {
                "company_id": self._company_id,
                "relationship_ids": [relationship_id for relationship_id, _ in keys],
                "seqs": [seq for _, seq in keys],
            },
        )
        return {(row.relationship_id, row.seq): _to_record(row) for row in rows}

    async def page(self, relationship_id: int, *, before: int | None, limit: int) -> list[TransitionRecord]:
        """Returns the transitions of a journey, newest first, with seq below `before`."""
        rows = await self._connection.execute(
            _PAGE,
            {
                "company_id": self._company_id,
                "relationship_id": relationship_id,
                "before": _MAX_SEQ if before is None else before,
                "limit": limit,
            },
        )
        return [_to_record(row) for row in rows]

    async def find_at(self, relationship_id: int, as_of: datetime) -> TransitionRecord | None:
        """Finds the last transition of a journey at or before an instant."""
        row = (
            await self._connection.execute(
                _FIND_AT, {"company_id": self._company_id, "relationship_id": relationship_id, "as_of": as_of}
            )
        ).one_or_none()
        return None if row is None else _to_record(row)

    async def list_stages(self, relationship_id: int, *, until: datetime) -> list[EnteredStage]:
        """Lists the stages that a customer entered until an instant, in order, without reasons."""
        rows = await self._connection.execute(
            _LIST_STAGES,
            {"company_id": self._company_id, "relationship_id": relationship_id, "until": until},
        )
        return [EnteredStage(*row) for row in rows]

    async def find_by_cause(self, relationship_id: int, cause: TransitionCause) -> TransitionRecord | None:
        """Finds the transition that a cause has led to."""
        row = (
            await self._connection.execute(
                _FIND_BY_CAUSE,
                {
                    "company_id": self._company_id,
                    "relationship_id": relationship_id,
                    "kind": cause.kind,
                    "id": cause.id,
                },
            )
        ).one_or_none()
        return None if row is None else _to_record(row)


def _to_record(row: Row) -> TransitionRecord:
    transition = Transition(
        seq=row.seq,
        from_stage=row.from_stage,
        to_stage=row.to_stage,
        transitioned_at=row.transitioned_at,
        trigger_type=TriggerType(row.trigger_type),
        trigger_event=row.trigger_event,
        cause=TransitionCause(row.cause_kind, row.cause_id),
        map_version=row.map_version,
        is_silent=row.is_silent,
        reasons=reasons_from_json(row.reasons),
        actor=row.actor,
        performed_by=row.performed_by,
        notes=row.notes,
        request=row.request,
        motion=Motion(row.motion),
        since=row.since,
    )
    return TransitionRecord(row.id, transition, row.recorded_at)


def _reasons_to_json(reasons: Sequence[StageReason]) -> str | None:
    # Stored by position to save space, because transitions are never deleted.
    fields = [reason if reason.paused_by is not None else reason[:-1] for reason in reasons]
    return (
        orjson.dumps(fields, default=tuple, option=orjson.OPT_PASSTHROUGH_SUBCLASS).decode()
        if reasons
        else None
    )


def reasons_from_json(raw: Sequence[Any] | None) -> tuple[StageReason, ...]:
    """Returns reasons from their stored form, which is by position."""
    return tuple(
        StageReason(
            stage,
            kind,
            held,
            tuple(
                RuleReason(trigger, rule_held, tuple(ConditionReason(*condition) for condition in conditions))
                for trigger, rule_held, conditions in rules
            ),
            *(datetime.fromisoformat(at) for at in paused_by if at is not None),
        )
        for stage, kind, held, rules, *paused_by in raw or ()
    )
