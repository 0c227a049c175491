"""Every kind of long work there is."""

from collections.abc import Mapping
from typing import Final

from journey_service.services.adoption import ADOPT, adopt_all
from journey_service.services.backtests import BACKTEST, run_backtest
from journey_service.services.clock import ADVANCE, run_advance
from journey_service.services.data_quality import REPAIR, repair
from journey_service.services.evaluation import EVALUATE, evaluate_all
from journey_service.services.jobs import Kind
from journey_service.services.nights import rescore
from journey_service.services.policies import APPLY, apply_to_all
from journey_service.services.previews import PREVIEW, rehearse_all
from journey_service.services.rescoring import RESCORE
from journey_service.services.rollups import COUNT, count_anew
from journey_service.services.snapshots import CHECK, REBUILD, check, rebuild

KINDS: Final[Mapping[str, Kind]] = {
    RESCORE: rescore,
    EVALUATE: evaluate_all,
    ADVANCE: run_advance,
    ADOPT: adopt_all,
    APPLY: apply_to_all,
    PREVIEW: rehearse_all,
    BACKTEST: run_backtest,
    COUNT: count_anew,
    REBUILD: rebuild,
    CHECK: check,
    REPAIR: repair,
}
