import { CircleDashed } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import type { UpcomingMove } from '../../api/queries/customer';
import { useFormats } from '../../format/useFormats';
import { stageStyle } from '../../parts/StageChip';
import { useStageLook } from '../../parts/useStages';

/** A move that is expected: it happens by itself unless something happens before. */
export function Future({ move, pinUntil }: { move: UpcomingMove; pinUntil: string | undefined }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const stage = useStageLook()(move.to_stage);
  return (
    <li className="line future" style={stageStyle(stage)}>
      <time dateTime={move.at} title={formats.instant(move.at)}>
        {formats.instantDay(move.at)}
      </time>
      <span className="line-dot">
        <CircleDashed size={14} aria-hidden />
      </span>
      <div className="line-what">
        <p>
          <b>{stage.name}</b>
          {move.unless !== null && t('customer.journey.unless')}
        </p>
        <p className="quiet">
          {t('customer.journey.expected')}
          {move.at === pinUntil && ` · ${t('customer.pinned.end')}`}
        </p>
      </div>
    </li>
  );
}
