import { Pin as PinIcon } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';
import { useStageLook } from '../../parts/useStages';
import { useView } from './context';

/** The pin that holds the customer in the stage, and what it holds back. */
export function Pin() {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const { journey } = useView();
  if (journey.pin_until === null) return null;
  return (
    <div className="pinned">
      <p>
        <PinIcon size={14} aria-hidden />{' '}
        <b>
          <time dateTime={journey.pin_until} title={formats.instant(journey.pin_until)}>
            {t('customer.pinned.title', { day: formats.instantDay(journey.pin_until) })}
          </time>
        </b>
      </p>
      {journey.suppressed.map((move) => (
        <p key={`${move.to_stage}-${move.at}`} className="quiet">
          {t('customer.pinned.suppressed', {
            stage: lookOf(move.to_stage).name,
            day: formats.instantDay(move.at),
          })}
        </p>
      ))}
    </div>
  );
}
