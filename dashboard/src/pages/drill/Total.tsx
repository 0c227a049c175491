import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';
import type { Figure } from '../../parts/drillTargets';
import type { Expected } from './expected';

type Props = {
  figure: Figure;
  expected: Expected | undefined;
  shown: number;
  /** How often the shown customers are counted together. */
  events: number;
  isWhole: boolean;
  onAgain: () => void;
};

/** The number again, how much of its list is shown, and a word where the two differ. */
export function Total({ figure, expected, shown, events, isWhole, onAgain }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  if (expected === undefined) return null;
  const isVisits = figure === 'visits';
  const counted = isVisits ? expected.events : expected.customers;
  const parts = [
    expected.events !== null && eventsText(),
    expected.customers !== null && t('drill.customers', { count: expected.customers }),
  ].filter((part) => part !== false);
  const found = counted === null ? events : shown;
  const wanted = counted ?? expected.events ?? 0;

  function eventsText(): string {
    const count = expected?.events ?? 0;
    if (isVisits) return t('drill.stays', { count });
    return figure === 'action' ? t('drill.actions', { count }) : t('drill.moves', { count });
  }

  return (
    <div className="total">
      <b className="total-number">
        {parts.length === 2 ? t('drill.of', { first: parts[0], second: parts[1] }) : parts[0]}
      </b>
      <span className="total-shown">
        {isWhole
          ? t('drill.allShown', { total: formats.int(shown) })
          : counted !== null && t('drill.shown', { shown: formats.int(shown), total: formats.int(counted) })}
      </span>
      {isWhole && found !== wanted && (
        <p className="total-differs" role="status">
          {t('drill.differs', { expected: formats.int(wanted), found: formats.int(found) })}{' '}
          <button type="button" className="quiet-button" onClick={onAgain}>
            {t('drill.recount')}
          </button>
        </p>
      )}
    </div>
  );
}
