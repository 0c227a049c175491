import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { csvHref, flowsQuery } from '../../api/queries/analytics';
import { ChartFrame } from '../../charts/ChartFrame';
import { FlowChart } from '../../charts/FlowChart';
import { useFormats } from '../../format/useFormats';
import { usePhone } from '../../look/media';
import { DataTable } from '../../parts/DataTable';
import { EmptyState } from '../../parts/EmptyState';
import { useStageLook, useStages } from '../../parts/useStages';
import type { PageContext } from './context';

export function Flows({ query }: PageContext) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const stages = useStages();
  const isPhone = usePhone();
  const result = useQuery({ ...flowsQuery(query), placeholderData: keepPreviousData });
  const moves = (result.data?.items ?? []).reduce((sum, flow) => sum + flow.moves, 0);
  return (
    <ChartFrame
      title={t('flows.title')}
      note={moves === 0 ? undefined : t('flows.note', { count: moves })}
      result={result}
      height={336}
      csv={csvHref('transitions', query)}
      table={(data) => (
        <DataTable
          caption={t('flows.title')}
          rows={data.items}
          keyOf={(flow) => `${flow.from_stage} ${flow.to_stage}`}
          columns={[
            { title: t('flows.from'), cell: (flow) => flow.from_name },
            { title: t('flows.to'), cell: (flow) => flow.to_name },
            { title: t('flows.moves'), cell: (flow) => formats.int(flow.moves), isNumber: true },
            { title: t('flows.customers'), cell: (flow) => formats.int(flow.customers), isNumber: true },
          ]}
        />
      )}
    >
      {(data) =>
        data.items.length === 0 ? (
          <EmptyState title={t('flows.empty')} />
        ) : (
          <FlowChart
            label={t('flows.title')}
            flows={data.items.map((flow) => ({ ...flow, from: flow.from_stage, to: flow.to_stage }))}
            stages={stages ?? []}
            lookOf={lookOf}
            isShort={isPhone}
            targetOf={(flow) => ({
              figure: 'flow',
              search: { ...query, from_stage: flow.from, to_stage: flow.to },
            })}
          />
        )
      }
    </ChartFrame>
  );
}
