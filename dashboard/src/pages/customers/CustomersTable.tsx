import { Pin } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import type { Customer } from '../../api/queries/customers';
import { localDay, daysBetween } from '../../format/formats';
import { useFormats } from '../../format/useFormats';
import { CustomerLink } from '../../parts/CustomerLink';
import { CustomerName } from '../../parts/CustomerName';
import { DataTable } from '../../parts/DataTable';
import { ExpectedLoss } from '../../parts/ExpectedLoss';
import { RiskMeter } from '../../parts/RiskMeter';
import { StageChip } from '../../parts/StageChip';
import { useBoot } from '../../parts/useBoot';
import { usePresent } from '../../parts/usePresent';
import { useStageLook } from '../../parts/useStages';

type Props = {
  rows: readonly Customer[];
  sort: string;
  onSort: (sort: string) => void;
  isBusy: boolean;
};

export function CustomersTable({ rows, sort, onSort, isBusy }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const now = usePresent();
  return (
    <DataTable<Customer>
      caption={t('customers.caption')}
      rows={rows}
      keyOf={(row) => String(row.customer_id)}
      isList
      sort={sort}
      onSort={onSort}
      isBusy={isBusy}
      columns={[
        { title: t('customers.customer'), cell: (row) => <Who row={row} />, sort: 'name' },
        {
          title: t('customers.stage'),
          cell: ({ journey }) => (
            <span className="stage-cell">
              <StageChip stage={lookOf(journey.current_stage, journey.stage_name)} isShort />
              <small title={t('customers.daysHint', { since: formats.instant(journey.stage_entered_at) })}>
                {t('customers.days', { count: journey.days_in_current_stage })}
              </small>
              {journey.pin_until !== null && <PinMark until={journey.pin_until} />}
            </span>
          ),
          sort: 'stage_entered_at',
          isReversed: true,
          isPlain: true,
        },
        {
          title: t('customers.risk'),
          cell: ({ journey }) => <RiskMeter score={journey.risk_score} label={t('parts.risk')} />,
          sort: 'risk_score',
          isDescendingFirst: true,
          phone: 'end',
        },
        {
          title: t('customers.away'),
          cell: ({ journey }) => <Away last={journey.last_appointment_at} now={now} />,
          sort: 'last_appointment_at',
          isReversed: true,
          isNumber: true,
        },
        {
          title: t('customers.appointments'),
          cell: ({ journey }) => formats.int(journey.total_appointments),
          isNumber: true,
          phone: 'hidden',
        },
        {
          title: t('customers.value'),
          cell: ({ journey }) => formats.money(journey.lifetime_value),
          sort: 'lifetime_value',
          isNumber: true,
          isPlain: true,
        },
        {
          title: t('parts.expectedLoss'),
          cell: (row) => <ExpectedLoss chance={row.churn_probability} value={row.journey.lifetime_value} />,
          sort: 'expected_loss',
          isNumber: true,
        },
        {
          title: t('customers.owner'),
          cell: ({ journey }) => <bdi>{journey.owner}</bdi>,
          phone: 'hidden',
        },
      ]}
    />
  );
}

function Who({ row }: { row: Customer }) {
  const { t } = useTranslation();
  const { customer_id: id, customer_ref: ref, name, phone, email } = row;
  const isNamed = name !== null && id > 0;
  const number = isNamed ? t('customers.number', { id: ref ?? id }) : null;
  const contact = phone ?? email;
  return (
    <CustomerLink id={id} className="who">
      <CustomerName customer={row} />
      <small>
        {contact !== null && <bdi>{contact}</bdi>}
        {number !== null && <span>{number}</span>}
      </small>
    </CustomerLink>
  );
}

function PinMark({ until }: { until: string }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const text = t('customers.pinned', { until: formats.instantDay(until) });
  return (
    <span className="pin-mark" title={text}>
      <Pin size={13} aria-hidden />
      <span className="hidden">{text}</span>
    </span>
  );
}

/** Whole local days since the last appointment. */
function Away({ last, now }: { last: string | null; now: Date }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { company } = useBoot();
  if (last === null) {
    return (
      <span className="zero">
        <span aria-hidden>{'–'}</span>
        <span className="hidden">{t('customers.never')}</span>
      </span>
    );
  }
  const days = Math.max(
    0,
    daysBetween(localDay(last, company.timezone), localDay(now, company.timezone)) - 1,
  );
  return (
    <time dateTime={last} title={t('customers.awayHint', { last: formats.instant(last) })}>
      {formats.int(days)}
    </time>
  );
}
