import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import { csvHref, funnelQuery } from '../../api/queries/analytics';
import { ChartFrame } from '../../charts/ChartFrame';
import { CohortFunnel, OUTCOMES } from '../../charts/CohortFunnel';
import { FunnelBars } from '../../charts/FunnelBars';
import { FUNNEL_MODES, type FunnelMode } from '../../format/ranges';
import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { EmptyState } from '../../parts/EmptyState';
import { Segments } from '../../parts/Segments';
import { useStageLook } from '../../parts/useStages';
import type { PageContext } from './context';

/** How far customers come: all who entered a stage in these days, or those who began in them. */
export function Funnel({ query }: PageContext) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const { funnel: mode = 'reached' } = useSearch({ from: '/' });
  const isCohort = mode === 'cohort';
  const asked = isCohort ? { ...query, mode } : query;
  const result = useQuery({ ...funnelQuery(asked), placeholderData: keepPreviousData });
  const number = (value: number | null | undefined) => formats.int(value ?? 0);
  return (
    <ChartFrame
      title={t('funnel.title')}
      note={isCohort ? t('funnel.cohortNote', { days: result.data?.window_days ?? 90 }) : t('funnel.note')}
      result={result}
      height={280}
      csv={csvHref('funnel', asked)}
      extra={<Mode mode={mode} />}
      table={(data) => (
        <DataTable
          caption={t('funnel.title')}
          rows={data.items}
          keyOf={(step) => step.stage_key}
          columns={[
            { title: t('funnel.stage'), cell: (step) => step.stage_name },
            { title: t('funnel.customers'), cell: (step) => formats.int(step.customers), isNumber: true },
            { title: t('funnel.share'), cell: (step) => formats.percent(step.percentage), isNumber: true },
            {
              title: t('funnel.conversion'),
              cell: (step) => formats.percent(step.conversion_rate),
              isNumber: true,
            },
            ...(isCohort
              ? OUTCOMES.map((outcome) => ({
                  title: t(`funnel.${outcome}`),
                  cell: (step: (typeof data.items)[number]) => number(step[outcome]),
                  isNumber: true,
                }))
              : [
                  {
                    title: t('funnel.returns'),
                    cell: (step: (typeof data.items)[number]) => number(step.returned),
                    isNumber: true,
                  },
                ]),
          ]}
        />
      )}
    >
      {(data) => {
        if (data.mode !== 'cohort') {
          return (
            <FunnelBars
              steps={data.items}
              lookOf={lookOf}
              targetOf={(step) => ({ figure: 'funnel', search: { ...query, stage: step.stage_key } })}
            />
          );
        }
        if ((data.items[0]?.customers ?? 0) === 0) return <EmptyState title={t('funnel.cohortEmpty')} />;
        return (
          <CohortFunnel
            steps={data.items}
            lookOf={lookOf}
            targetOf={(step, outcome) => ({
              figure: 'funnel',
              search: {
                ...query,
                mode: 'cohort',
                stage: step.stage_key,
                ...(outcome === undefined ? {} : { outcome }),
              },
            })}
          />
        );
      }}
    </ChartFrame>
  );
}

/** The choice is in the address, so that a link shows the same. */
function Mode({ mode }: { mode: FunnelMode }) {
  const { t } = useTranslation();
  const navigate = useNavigate({ from: '/' });
  const { funnel: _funnel, ...kept } = useSearch({ from: '/' });
  return (
    <Segments<FunnelMode>
      label={t('funnel.mode')}
      value={mode}
      options={FUNNEL_MODES.map((value) => ({ value, label: t(`funnel.${value}Mode`) }))}
      onChange={(value) => {
        void navigate({
          search: { ...kept, ...(value === 'reached' ? {} : { funnel: value }) },
          resetScroll: false,
        });
      }}
    />
  );
}
