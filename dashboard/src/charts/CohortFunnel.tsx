import { useTranslation } from 'react-i18next';

import type { Schemas } from '../api/client';
import { useFormats } from '../format/useFormats';
import { DrillLink } from '../parts/DrillLink';
import type { DrillTarget } from '../parts/drillTargets';
import { StageChip, stageStyle } from '../parts/StageChip';
import type { StageLook } from '../parts/useStages';

type Step = Schemas['FunnelStage'];
export const OUTCOMES = ['converted', 'pending', 'dropped'] as const;
export type Outcome = (typeof OUTCOMES)[number];
type Props = {
  steps: readonly Step[];
  lookOf: (key: string, name?: string) => StageLook;
  targetOf: (step: Step, outcome?: Outcome) => DrillTarget;
};

/** A bar for each stage that the new customers reached, divided by what became of them. Each part opens its customers. */
export function CohortFunnel({ steps, lookOf, targetOf }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  return (
    <>
      <p className="cohort-key" aria-hidden>
        {OUTCOMES.map((outcome) => (
          <span key={outcome} data-outcome={outcome}>
            {t(`funnel.${outcome}`)}
          </span>
        ))}
      </p>
      <div className="funnel">
        {steps.map((step, index) => {
          const stage = lookOf(step.stage_key, step.stage_name);
          return (
            <div className="cohort-step" key={step.stage_key} style={stageStyle(stage)}>
              <span className="funnel-name">
                <StageChip stage={stage} />
              </span>
              <div className="cohort-row">
                <span className="cohort-bar">
                  {/* Of the last stage nobody can go on: its bar is whole. */}
                  {OUTCOMES.filter((outcome) => index < steps.length - 1 && (step[outcome] ?? 0) > 0).map(
                    (outcome) => (
                      <DrillLink
                        key={outcome}
                        to={targetOf(step, outcome)}
                        className="cohort-part"
                        data-outcome={outcome}
                        style={{ flexGrow: step[outcome] ?? 0 }}
                        aria-label={t(`funnel.${outcome}Part`, {
                          count: step[outcome] ?? 0,
                          stage: stage.name,
                        })}
                      >
                        <span>{formats.int(step[outcome] ?? 0)}</span>
                      </DrillLink>
                    ),
                  )}
                  {index === steps.length - 1 && step.customers > 0 && <i className="cohort-part" />}
                  <span
                    className="cohort-rest"
                    style={{ flexGrow: (steps[0]?.customers ?? 0) - step.customers }}
                  />
                </span>
                <DrillLink
                  to={targetOf(step)}
                  className="number-link"
                  aria-label={t('funnel.cohortBar', { count: step.customers, stage: stage.name })}
                >
                  <b>{formats.int(step.customers)}</b>
                </DrillLink>
                <small>{formats.percent(step.percentage)}</small>
              </div>
            </div>
          );
        })}
      </div>
    </>
  );
}
