import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { StageChip } from '../../parts/StageChip';
import { useStageLook } from '../../parts/useStages';
import { Name } from './Name';
import type { VisitRow } from './figures';

export function VisitTable({ rows }: { rows: readonly VisitRow[] }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const time = (instant: string | null) =>
    instant === null ? '–' : <time title={formats.instant(instant)}>{formats.instantDay(instant)}</time>;
  return (
    <DataTable
      caption={t('drill.caption')}
      rows={rows}
      keyOf={(row) => `${row.customer_id} ${row.seq}`}
      isList
      columns={[
        {
          title: t('drill.customer'),
          cell: (row) => <Name id={row.customer_id} reference={row.customer_ref} name={row.customer_name} />,
        },
        { title: t('drill.entered'), cell: (row) => time(row.entered_at), isNumber: true },
        { title: t('drill.left'), cell: (row) => time(row.left_at), isNumber: true },
        {
          title: t('drill.to'),
          cell: (row) => (row.to_stage === null ? '–' : <StageChip stage={lookOf(row.to_stage)} />),
          phone: 'end',
        },
      ]}
    />
  );
}
