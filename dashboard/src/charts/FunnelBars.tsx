import { ArrowDown } from 'lucide-react';
import { Fragment } from 'react';
import { useTranslation } from 'react-i18next';

import type { Schemas } from '../api/client';
import { useFormats } from '../format/useFormats';
import { DrillLink } from '../parts/DrillLink';
import type { DrillTarget } from '../parts/drillTargets';
import { StageChip, stageStyle } from '../parts/StageChip';
import type { StageLook } from '../parts/useStages';

type Step = Schemas['FunnelStage'];
type Props = {
  steps: readonly Step[];
  lookOf: (key: string, name?: string) => StageLook;
  targetOf: (step: Step) => DrillTarget;
};

/** A funnel of bars, each as wide as its share of the first, with the conversion between them. */
export function FunnelBars({ steps, lookOf, targetOf }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  return (
    <div className="funnel">
      {steps.map((step, index) => {
        const stage = lookOf(step.stage_key, step.stage_name);
        const percent = formats.percent(step.percentage);
        const next = steps[index + 1];
        return (
          <Fragment key={step.stage_key}>
            <span className="funnel-name">
              <StageChip stage={stage} />
            </span>
            <DrillLink
              to={targetOf(step)}
              className="funnel-row"
              style={stageStyle(stage)}
              aria-label={t('funnel.bar', { count: step.customers, stage: stage.name, percent })}
            >
              <span className="funnel-bar">
                <i style={{ width: `${step.percentage}%` }} />
              </span>
              <b>{formats.int(step.customers)}</b>
              <small>{percent}</small>
            </DrillLink>
            {next !== undefined && (
              <span className="funnel-next">
                <ArrowDown size={12} aria-hidden />
                {t('funnel.goOn', { percent: formats.percent(step.conversion_rate) })}
                {(next.returned ?? 0) > 0 && (
                  <span className="wide-only">
                    {' · '}
                    {t('funnel.returned', {
                      count: next.returned ?? 0,
                      stage: lookOf(next.stage_key, next.stage_name).short,
                    })}
                  </span>
                )}
              </span>
            )}
          </Fragment>
        );
      })}
    </div>
  );
}
