"""Registry of jobs: the handler of every kind."""

from collections.abc import Mapping
from typing import Final

from journey_service.services.analytics.rollups import COUNT, rebuild_rollups
from journey_service.services.analytics.snapshots import CHECK, REBUILD, check, rebuild
from journey_service.services.jobs import JobHandler
from journey_service.services.journeys.evaluation import EVALUATE, evaluate_all
from journey_service.services.journeys.policy_rollout import APPLY, apply_to_all
from journey_service.services.journeys.rescoring import RESCORE
from journey_service.services.journeys.stage_map_rollout import ROLL_OUT_STAGE_MAP, migrate_all
from journey_service.services.operations.data_quality import REPAIR, repair
from journey_service.services.operations.nightly import rescore
from journey_service.services.operations.test_clock import ADVANCE, run_advance
from journey_service.services.stages.backtests import BACKTEST, run_backtest
from journey_service.services.stages.previews import PREVIEW, preview_all

JOB_HANDLERS: Final[Mapping[str, JobHandler]] = {
    RESCORE: rescore,
    EVALUATE: evaluate_all,
    ADVANCE: run_advance,
    ROLL_OUT_STAGE_MAP: migrate_all,
    APPLY: apply_to_all,
    PREVIEW: preview_all,
    BACKTEST: run_backtest,
    COUNT: rebuild_rollups,
    REBUILD: rebuild,
    CHECK: check,
    REPAIR: repair,
}
