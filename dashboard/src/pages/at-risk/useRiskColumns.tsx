import { useTranslation } from 'react-i18next';

import type { RiskCustomer } from '../../api/queries/atRisk';
import { useFormats } from '../../format/useFormats';
import { ContactName } from '../../parts/contact/ContactName';
import type { Column } from '../../parts/DataTable';
import { ExpectedLoss } from '../../parts/ExpectedLoss';
import { RiskMeter } from '../../parts/RiskMeter';
import { StageChip } from '../../parts/StageChip';
import { useStageLook } from '../../parts/useStages';

/** The columns of the guide's table, what is likely to be lost, and the stage. An owner stands with the customer: most have none. */
export function useRiskColumns(): Column<RiskCustomer>[] {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  return [
    { title: t('atRisk.customer'), cell: (row) => <Whom row={row} /> },
    {
      title: t('atRisk.risk'),
      sort: 'risk_score',
      isDescendingFirst: true,
      phone: 'end',
      cell: (row) => (
        <RiskMeter score={row.risk_score} label={t('atRisk.meter', { name: row.name ?? String(row.id) })} />
      ),
    },
    {
      title: t('atRisk.daysAway'),
      sort: 'days_inactive',
      isNumber: true,
      cell: (row) =>
        row.days_inactive === null ? (
          <span className="muted">{t('atRisk.never')}</span>
        ) : (
          formats.int(row.days_inactive)
        ),
    },
    {
      title: t('atRisk.value'),
      sort: 'lifetime_value',
      isNumber: true,
      cell: (row) => formats.money(row.lifetime_value),
    },
    {
      title: t('parts.expectedLoss'),
      sort: 'expected_loss',
      isNumber: true,
      cell: (row) => <ExpectedLoss chance={row.churn_probability} value={row.lifetime_value} />,
    },
    {
      title: t('atRisk.lostBy'),
      cell: (row) =>
        row.predicted_churn_date === null ? (
          <span className="muted">{t('atRisk.unknown')}</span>
        ) : (
          <time dateTime={row.predicted_churn_date} title={formats.day(row.predicted_churn_date)}>
            {formats.shortDay(row.predicted_churn_date)}
          </time>
        ),
    },
    {
      title: t('atRisk.stage'),
      isPlain: true,
      cell: (row) => <StageChip stage={lookOf(row.stage_key)} isShort />,
    },
  ];
}

function Whom({ row }: { row: RiskCustomer }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { open_task: task, running_campaign: campaign } = row;
  return (
    <div className="risk-whom">
      <ContactName id={row.id} name={row.name} />
      <small>{row.email ?? t('atRisk.noEmail')}</small>
      {row.owner !== null && <small>{t('atRisk.ownerIs', { name: row.owner })}</small>}
      {row.next_booking_at !== null && (
        <small className="hint-line">
          {t('atRisk.booked', { day: formats.instantShortDay(row.next_booking_at) })}
        </small>
      )}
      {task !== null && (
        <small className="hint-line">
          {t(task.assignee === null ? 'atRisk.task' : 'atRisk.taskOf', {
            day: formats.instantShortDay(task.due_at),
            who: task.assignee ?? '',
          })}
        </small>
      )}
      {task === null && campaign !== null && <small className="hint-line">{t('atRisk.campaign')}</small>}
    </div>
  );
}
