import { ArrowUp } from 'lucide-react';

import { Spark } from '../../charts/Spark';
import { DrillLink } from '../../parts/DrillLink';
import type { DrillTarget } from '../../parts/drillTargets';
import { StageIcon } from '../../parts/StageIcon';
import type { StageLook } from '../../parts/useStages';

type Props = {
  name: string;
  stage?: StageLook | undefined;
  value: string;
  share?: string;
  detail: string | null;
  hint: string | undefined;
  isUp?: boolean;
  line: readonly number[];
  to: DrillTarget;
};

export function StatisticCard({ name, stage, value, share, detail, hint, isUp = false, line, to }: Props) {
  return (
    <DrillLink to={to} className="card statistic">
      <span className="statistic-name">
        {stage !== undefined && (
          <span className="statistic-icon" style={{ color: stage.ink }}>
            <StageIcon icon={stage.icon} size={15} />
          </span>
        )}
        {name}
      </span>
      <span className="statistic-value">
        {value}
        {share !== undefined && <small>{share}</small>}
      </span>
      <span className="statistic-foot">
        <span className="statistic-detail" title={hint}>
          {isUp && <ArrowUp size={13} className="good" aria-hidden />}
          {detail}
        </span>
        <Spark values={line} color={stage?.ink ?? 'var(--accent)'} />
      </span>
    </DrillLink>
  );
}
