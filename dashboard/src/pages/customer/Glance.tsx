import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';
import { Attributes } from './Attributes';
import { Consents } from './Consents';
import { useView } from './context';
import { Notes } from './Notes';
import { Pin } from './Pin';
import { Card } from './Section';

/** The figures of the customer, and what people wrote. */
export function Glance() {
  const { t } = useTranslation();
  const formats = useFormats();
  const { journey, instant } = useView();
  const day = (at: string | null): ReactNode =>
    at === null ? (
      <span className="quiet">{t('customer.glance.none')}</span>
    ) : (
      <time dateTime={at} title={formats.instant(at)}>
        {formats.instantDay(at)}
      </time>
    );
  const figures: [string, ReactNode][] = [
    [t('customer.glance.value'), formats.money(journey.lifetime_value)],
    [t('customer.glance.appointments'), formats.int(journey.total_appointments)],
    [t('customer.glance.missed'), formats.int(journey.total_missed)],
    [t('customer.glance.last'), day(journey.last_appointment_at)],
    [t('customer.glance.first'), day(journey.first_appointment_at)],
    ...(journey.next_booking_at === null
      ? []
      : [[t('customer.glance.booked'), day(journey.next_booking_at)] satisfies [string, ReactNode]]),
  ];
  return (
    <Card title={t('customer.glance.title')}>
      <dl className="figures">
        {figures.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {instant === undefined ? (
        <>
          <Pin />
          <Notes />
          <Attributes />
          <Consents />
        </>
      ) : (
        <p className="note">{t('customer.glance.pastNote')}</p>
      )}
    </Card>
  );
}
