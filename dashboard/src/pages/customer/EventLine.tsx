import {
  CalendarCheck,
  CalendarMinus,
  CalendarPlus,
  CalendarSearch,
  CalendarX,
  Eraser,
  MessageCircleCheck,
  MessageCircleWarning,
  Phone,
  Undo2,
  Wallet,
  type LucideIcon,
} from 'lucide-react';
import { useTranslation } from 'react-i18next';

import type { CustomerEvent } from '../../api/queries/customer';
import { useFormats } from '../../format/useFormats';
import type { EventType } from '../../rules/kinds';
import { Line } from './Line';

const ICONS: Record<EventType, LucideIcon> = {
  call_received: Phone,
  appointment_requested: CalendarSearch,
  appointment_booked: CalendarPlus,
  appointment_completed: CalendarCheck,
  appointment_missed: CalendarX,
  appointment_cancelled: CalendarMinus,
  payment_received: Wallet,
  payment_refunded: Undo2,
  ticket_opened: MessageCircleWarning,
  ticket_resolved: MessageCircleCheck,
  event_retracted: Eraser,
};
const MINUTE = 60;

/** An appointment, a call, a payment or a ticket. */
export function EventLine({ event }: { event: CustomerEvent }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const Icon = ICONS[event.type];
  const details = [
    ...(event.scheduled_for === null
      ? []
      : [t('customer.journey.forTime', { when: formats.clock(event.scheduled_for) })]),
    ...(event.call_duration === null ? [] : [durationOf(event.call_duration)]),
    t('customer.journey.source', { source: event.source }),
    ...(event.counts || event.type === 'event_retracted' ? [] : [t('customer.journey.notCounted')]),
    ...(event.late ? [t('customer.journey.late', { day: formats.instantDay(event.recorded_at) })] : []),
  ];
  return (
    <Line at={event.occurred_at} icon={<Icon size={14} aria-hidden />} className="event">
      <p>
        <b>{t(`rules.event.${event.type}`)}</b>{' '}
        {event.amount !== 0 && <span>{formats.money(event.amount)}</span>}
      </p>
      <p className="quiet">{details.join(' · ')}</p>
    </Line>
  );

  function durationOf(seconds: number): string {
    return seconds < MINUTE
      ? t('customer.journey.seconds', { count: seconds })
      : t('customer.journey.minutes', { minutes: Math.floor(seconds / MINUTE), seconds: seconds % MINUTE });
  }
}
