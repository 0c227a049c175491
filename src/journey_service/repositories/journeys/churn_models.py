"""Table churn_models: the newest fitted models of one company."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from journey_service.domain.journeys.prediction.parameters import ChurnParameters
from journey_service.domain.journeys.prediction.quality import (
    CalibrationBin,
    FittedModel,
    ModelAccuracy,
    ModelQuality,
)
from journey_service.repositories.tables import Row

_KEPT_MODELS: Final = 30
_CACHED_PARAMETERS: Final[dict[tuple[int, int], ChurnParameters | None]] = {}
_MAX_CACHED_PARAMETERS: Final = 4096
_PARAMETERS: Final = text(
    "SELECT parameters, coalesce(xmin = CAST(pg_current_xact_id_if_assigned() AS xid), false)"
    " AS is_of_this_transaction FROM churn_models WHERE company_id = :company_id AND id = :id"
)
_LATEST: Final = text(
    "SELECT id, version, fitted_on, fitted_at, parameters, quality, is_shown FROM churn_models"
    " WHERE company_id = :company_id ORDER BY id DESC LIMIT 1"
)
_INSERT: Final = text(
    "INSERT INTO churn_models (company_id, version, fitted_on, sampled_customers, parameters, quality, is_shown,"
    " fitted_at) VALUES (:company_id, :version, :fitted_on, :sampled_customers,"
    " CAST(CAST(:parameters AS text) AS jsonb), CAST(CAST(:quality AS text) AS jsonb), :is_shown, :fitted_at)"
    " RETURNING id"
)
_DELETE_OLD: Final = text(
    "DELETE FROM churn_models WHERE company_id = :company_id AND id NOT IN"
    " (SELECT id FROM churn_models WHERE company_id = :company_id ORDER BY id DESC LIMIT :kept)"
)


class ChurnModels:
    """The fitted models of one company."""

    def __init__(self, connection: AsyncConnection, company_id: int) -> None:
        self._connection = connection
        self._company_id = company_id

    async def get_parameters(self, id_: int) -> ChurnParameters | None:
        """Returns the parameters of a model; None if they are of another version."""
        # A stored model never changes, so it may be cached without expiry.
        key = (self._company_id, id_)
        if key in _CACHED_PARAMETERS:
            return _CACHED_PARAMETERS[key]
        row = (await self._connection.execute(_PARAMETERS, {"company_id": key[0], "id": id_})).one_or_none()
        parameters = None if row is None else ChurnParameters.from_json(row.parameters)
        if row is None or row.is_of_this_transaction:
            return parameters
        if len(_CACHED_PARAMETERS) >= _MAX_CACHED_PARAMETERS:
            _CACHED_PARAMETERS.clear()
        _CACHED_PARAMETERS[key] = parameters
        return parameters

    async def find_latest(self) -> FittedModel | None:
        """Finds the newest model, shown or not."""
        row = (await self._connection.execute(_LATEST, {"company_id": self._company_id})).one_or_none()
        return None if row is None else _to_model(row)

    async def insert(
        self,
        parameters: Mapping[str, Any],
        quality: Mapping[str, Any] | None,
        *,
        is_shown: bool,
        fitted_at: datetime,
    ) -> int:
        """Inserts a model and deletes old ones; returns its id."""
        id_ = await self._connection.scalar(
            _INSERT,
            {
                "company_id": self._company_id,
                "version": parameters["version"],
                "fitted_on": date.fromisoformat(parameters["fitted_on"]),
                "sampled_customers": parameters["sampled_customers"],
                "parameters": orjson.dumps(parameters).decode(),
                "quality": None if quality is None else orjson.dumps(quality).decode(),
                "is_shown": is_shown,
                "fitted_at": fitted_at,
            },
        )
        await self._connection.execute(_DELETE_OLD, {"company_id": self._company_id, "kept": _KEPT_MODELS})
        return int(id_)


def _to_model(row: Row) -> FittedModel:
    return FittedModel(
        row.id,
        row.version,
        row.fitted_on,
        row.fitted_at,
        ChurnParameters.from_json(row.parameters),
        None if row.quality is None else _to_quality(row.quality),
        row.is_shown,
    )


def _to_quality(quality: Mapping[str, Any]) -> ModelQuality:
    return ModelQuality(
        quality["horizon"],
        ModelAccuracy(**quality["model"]),
        ModelAccuracy(**quality["kaplan_meier"]),
        [CalibrationBin(**each) for each in quality["bins"]],
    )
