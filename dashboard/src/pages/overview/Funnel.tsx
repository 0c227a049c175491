import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { csvHref, funnelQuery } from '../../api/queries/analytics';
import { ChartFrame } from '../../charts/ChartFrame';
import { FunnelBars } from '../../charts/FunnelBars';
import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { useStageLook } from '../../parts/useStages';
import type { PageContext } from './context';

export function Funnel({ query }: PageContext) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const result = useQuery({ ...funnelQuery(query), placeholderData: keepPreviousData });
  return (
    <ChartFrame
      title={t('funnel.title')}
      note={t('funnel.note')}
      result={result}
      height={280}
      csv={csvHref('funnel', query)}
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
            { title: t('funnel.returns'), cell: (step) => formats.int(step.returned ?? 0), isNumber: true },
          ]}
        />
      )}
    >
      {(data) => (
        <FunnelBars
          steps={data.items}
          lookOf={lookOf}
          targetOf={(step) => ({ figure: 'funnel', search: { ...query, stage: step.stage_key } })}
        />
      )}
    </ChartFrame>
  );
}
