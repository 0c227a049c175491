import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';
import { stageStyle } from '../parts/StageChip';
import type { StageLook } from '../parts/useStages';
import type { DayRow } from './stageSeries';

type Props = {
  rows: readonly DayRow[];
  stages: readonly StageLook[];
  /** The day under the pointer; null: the last one. */
  cursor: number | null;
  onMove: (cursor: number | null) => void;
};

/** The numbers of one day in words, and the slider that arrow keys move over the days. */
export function DayReader({ rows, stages, cursor, onMove }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const index = cursor ?? rows.length - 1;
  const row = rows[index];
  if (row === undefined) return null;
  const values = stages.filter((stage) => (row.counts[stage.key] ?? 0) > 0).toReversed();
  const sentence = [
    formats.day(row.day),
    ...values.map((stage) => `${stage.short} ${formats.int(row.counts[stage.key] ?? 0)}`),
  ].join(', ');
  return (
    <div className="day-reader">
      <input
        type="range"
        className="day-slider"
        min={0}
        max={rows.length - 1}
        value={index}
        aria-label={t('area.cursor')}
        aria-valuetext={sentence}
        onChange={(event) => onMove(Number(event.target.value))}
        onBlur={() => onMove(null)}
      />
      <b>{formats.day(row.day)}</b>
      {values.map((stage) => (
        <span key={stage.key} style={stageStyle(stage)} className="day-value">
          <i aria-hidden />
          {stage.short} <b>{formats.int(row.counts[stage.key] ?? 0)}</b>
        </span>
      ))}
    </div>
  );
}
