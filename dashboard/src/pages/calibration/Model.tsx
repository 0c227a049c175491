import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { churnModelQuery, type BackTest, type ModelFit } from '../../api/queries/predictions';
import { ChartFrame } from '../../charts/ChartFrame';
import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { EmptyState } from '../../parts/EmptyState';

const MEASURES = ['log_loss', 'roc_auc', 'calibration_error', 'brier', 'calibration_slope'] as const;

/** The newest model: when and on what it was fitted, whether it is shown, and its accuracy at this company. */
export function Model() {
  const { t } = useTranslation();
  const result = useQuery({ ...churnModelQuery(), placeholderData: keepPreviousData });
  return (
    <ChartFrame title={t('calibration.model')} result={result} height={300} className="calibration-model">
      {({ model }) =>
        model === null ? (
          <EmptyState title={t('calibration.none')}>
            <p>{t('calibration.noneText')}</p>
          </EmptyState>
        ) : (
          <>
            <Facts model={model} />
            {model.back_test === null ? (
              <EmptyState title={t('calibration.untested')}>
                <p>{t('calibration.noCurveText')}</p>
              </EmptyState>
            ) : (
              <Quality test={model.back_test} />
            )}
          </>
        )
      }
    </ChartFrame>
  );
}

function Facts({ model }: { model: ModelFit }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const int = (value: number | null) => formats.int(value ?? 0);
  const facts = [
    [t('calibration.fitted'), formats.day(model.fitted_on)],
    [
      t('calibration.basis'),
      model.basis === null ? t('calibration.old') : t(`calibration.bases.${model.basis}`),
    ],
    [
      t('calibration.sample'),
      model.sampled_customers === null
        ? t('calibration.old')
        : t('calibration.sampleOf', {
            customers: int(model.sampled_customers),
            all: int(model.customers),
            visits: int(model.sampled_visits),
            returns: int(model.sampled_returns),
          }),
    ],
    [t('calibration.shown'), t(model.is_shown ? 'calibration.isShown' : 'calibration.isNotShown')],
  ] as const;
  return (
    <dl className="outlook">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Quality({ test }: { test: BackTest }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const score = (value: number | null) => (value === null ? t('calibration.unknown') : formats.score(value));
  return (
    <div className="outlook-why">
      <h3>{t('calibration.quality')}</h3>
      <p className="quiet">
        {t('calibration.qualityNote', {
          count: test.customers,
          days: test.horizon_days,
          share: formats.percent(test.realised * 100),
        })}
      </p>
      <div className="stack">
        <DataTable
          caption={t('calibration.quality')}
          rows={MEASURES}
          keyOf={(measure) => measure}
          columns={[
            { title: t('calibration.measure'), cell: (measure) => t(`calibration.${measure}`) },
            {
              title: t('calibration.ours'),
              cell: (measure) => <b>{score(test.model[measure])}</b>,
              isNumber: true,
            },
            {
              title: t('calibration.simplest'),
              cell: (measure) => score(test.kaplan_meier[measure]),
              isNumber: true,
            },
          ]}
        />
      </div>
    </div>
  );
}
