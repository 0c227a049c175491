"""Registry of jobs: the handler of every kind."""

from collections.abc import Mapping
from typing import Final

from journey_service.services.actions.bulk_actions import BULK_JOB, run_bulk
from journey_service.services.actions.delivery.replay import REPLAY_JOB, run_replay
from journey_service.services.analytics.churn.fitting import FIT_CHURN_MODEL_JOB, fit_churn_model
from journey_service.services.analytics.rollups import REBUILD_ROLLUPS_JOB, rebuild_rollups
from journey_service.services.analytics.snapshots import (
    CHECK_SNAPSHOTS_JOB,
    REBUILD_SNAPSHOTS_JOB,
    check_snapshots,
    rebuild_snapshots,
)
from journey_service.services.customers.bulk_moves import BULK_MOVES_JOB, run_moves
from journey_service.services.jobs import JobHandler
from journey_service.services.journeys.evaluation import EVALUATE_JOB, evaluate_all
from journey_service.services.journeys.policy_rollout import APPLY_SETTINGS_JOB, apply_to_all
from journey_service.services.journeys.rescoring import RESCORE_JOB
from journey_service.services.journeys.stage_map_rollout import ROLL_OUT_STAGE_MAP_JOB, migrate_all
from journey_service.services.operations.checks import (
    INSPECT_DATA_JOB,
    RECONCILE_JOB,
    run_inspection,
    run_reconciliation,
)
from journey_service.services.operations.data_quality import REPAIR_DATA_JOB, run_repair
from journey_service.services.operations.nightly import run_rescoring
from journey_service.services.operations.test_clock import ADVANCE_CLOCK_JOB, run_advance
from journey_service.services.stages.backtests import BACKTEST_JOB, run_backtest
from journey_service.services.stages.previews import PREVIEW_JOB, preview_all

JOB_HANDLERS: Final[Mapping[str, JobHandler]] = {
    BULK_JOB: run_bulk,
    BULK_MOVES_JOB: run_moves,
    REPLAY_JOB: run_replay,
    RESCORE_JOB: run_rescoring,
    EVALUATE_JOB: evaluate_all,
    ADVANCE_CLOCK_JOB: run_advance,
    ROLL_OUT_STAGE_MAP_JOB: migrate_all,
    APPLY_SETTINGS_JOB: apply_to_all,
    PREVIEW_JOB: preview_all,
    BACKTEST_JOB: run_backtest,
    REBUILD_ROLLUPS_JOB: rebuild_rollups,
    REBUILD_SNAPSHOTS_JOB: rebuild_snapshots,
    CHECK_SNAPSHOTS_JOB: check_snapshots,
    REPAIR_DATA_JOB: run_repair,
    RECONCILE_JOB: run_reconciliation,
    INSPECT_DATA_JOB: run_inspection,
    FIT_CHURN_MODEL_JOB: fit_churn_model,
}
