import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { StageChip } from '../../parts/StageChip';
import { useStageLook } from '../../parts/useStages';
import type { CustomerRow } from './figures';
import { Name } from './Name';

export function CustomerTable({ rows }: { rows: readonly CustomerRow[] }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const isCounted = rows.some((row) => row.times !== null && row.times !== 1);
  return (
    <DataTable
      caption={t('drill.caption')}
      rows={rows}
      keyOf={(row) => String(row.id)}
      isList
      columns={[
        {
          title: t('drill.customer'),
          cell: (row) => <Name id={row.id} reference={row.reference} name={row.name} />,
        },
        {
          title: t('drill.inStage'),
          cell: (row) => <StageChip stage={lookOf(row.stage, row.stageName)} />,
          phone: 'end',
        },
        {
          title: t('drill.since'),
          cell: (row) => <time title={formats.instant(row.since)}>{formats.instantDay(row.since)}</time>,
          isNumber: true,
        },
        { title: t('drill.lifetimeValue'), cell: (row) => formats.money(row.value), isNumber: true },
        { title: t('drill.riskScore'), cell: (row) => formats.score(row.risk), isNumber: true },
        ...(isCounted
          ? [
              {
                title: t('drill.times'),
                cell: (row: CustomerRow) => (row.times === null ? '' : formats.int(row.times)),
                isNumber: true,
              },
            ]
          : []),
      ]}
    />
  );
}
