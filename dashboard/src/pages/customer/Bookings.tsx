import { CalendarClock } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import type { Booking } from '../../api/queries/customer';
import { useFormats } from '../../format/useFormats';

/** Appointments that are booked and have no outcome yet. */
export function Bookings({ bookings }: { bookings: readonly Booking[] }) {
  const { t } = useTranslation();
  const formats = useFormats();
  return (
    <ul className="bookings" aria-label={t('customer.journey.bookings')}>
      {bookings.map((booking) => (
        <li key={booking.booking_id}>
          <CalendarClock size={16} aria-hidden />
          <b>
            {booking.scheduled_for === null
              ? t('customer.journey.bookingId', { id: booking.booking_id })
              : t('customer.journey.bookedFor', { when: formats.clock(booking.scheduled_for) })}
          </b>
          <span className="quiet">
            {t(`customer.booking.${booking.state}`)}
            {booking.scheduled_for !== null &&
              ` · ${t('customer.journey.bookingId', { id: booking.booking_id })}`}
          </span>
        </li>
      ))}
    </ul>
  );
}
