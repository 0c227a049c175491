import { scaleLinear } from '@visx/scale';
import { useTranslation } from 'react-i18next';

import type { StageTime } from '../api/queries/analytics';
import { useFormats } from '../format/useFormats';
import type { DrillTarget } from '../parts/drillTargets';
import type { StageLook } from '../parts/useStages';
import { DrillMark } from './DrillMark';
import { textWidth } from './measure';
import { Sized } from './Sized';

type Props = {
  items: readonly StageTime[];
  lookOf: (key: string, name?: string) => StageLook;
  isShort: boolean;
  targetOf: (item: StageTime) => DrillTarget;
  label: string;
};

const ROW = 43;
const AXIS = 24;
const GAP = 12;
const RIGHT = 64;

export const timeRangesHeight = (rows: number): number => rows * ROW + AXIS;

/** Days in each stage: half leave by the dot, nine in ten by the end of the bar; the diamond is the age of the rest. */
export function TimeRanges({ items, lookOf, isShort, targetOf, label }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const looks = items.map((item) => lookOf(item.stage_key, item.stage_name));
  const nameOf = (look: StageLook) => (isShort ? look.short : look.name);
  const left = Math.max(0, ...looks.map((look) => textWidth(nameOf(look)))) + GAP + 8;
  const longest = Math.max(1, ...items.map((item) => Math.max(item.p90_days ?? 0, item.open_avg_days ?? 0)));
  const height = timeRangesHeight(items.length);
  const sentence = (item: StageTime) => {
    const values = {
      stage: item.stage_name,
      median: formats.decimal(item.median_days ?? 0),
      p90: formats.decimal(item.p90_days ?? 0),
      open: formats.int(item.open_count),
      age: formats.decimal(item.open_avg_days ?? 0),
    };
    if (item.visits > 0) return t('times.row', values);
    return item.open_count > 0 ? t('times.rowOpen', values) : t('times.rowEmpty', values);
  };
  return (
    <Sized height={height} label={label}>
      {(width) => {
        const x = scaleLinear({ domain: [0, longest], range: [left, width - RIGHT - GAP], nice: 4 });
        return (
          <>
            <g aria-hidden>
              {x.ticks(4).map((tick) => (
                <g key={tick}>
                  <line className="grid-line" x1={x(tick)} x2={x(tick)} y1={0} y2={height - AXIS} />
                  <text className="muted" x={x(tick)} y={height - 6} textAnchor="middle">
                    {formats.int(tick)}
                  </text>
                </g>
              ))}
            </g>
            {items.map((item, row) => {
              const look = looks[row] ?? lookOf(item.stage_key);
              const y = row * ROW + ROW / 2;
              const median = item.median_days === null ? null : x(item.median_days);
              return (
                <DrillMark
                  key={item.stage_key}
                  to={targetOf(item)}
                  name={sentence(item)}
                  className="time-row"
                >
                  <rect className="time-hit" x={0} y={y - ROW / 2} width={width} height={ROW} rx={8} />
                  <text x={left - GAP} y={y + 4} textAnchor="end">
                    {nameOf(look)}
                  </text>
                  {median !== null && item.p90_days !== null && (
                    <>
                      <line
                        className="time-bar"
                        x1={x(0)}
                        x2={x(item.p90_days)}
                        y1={y}
                        y2={y}
                        stroke={look.fill}
                      />
                      <circle cx={median} cy={y} r={6} fill={look.ink} />
                    </>
                  )}
                  {item.open_avg_days !== null && item.open_count > 0 && (
                    <path
                      className="time-age"
                      d={`M${x(item.open_avg_days)},${y - 6.5}l6.5,6.5l-6.5,6.5l-6.5,-6.5Z`}
                      stroke={look.ink}
                    />
                  )}
                  <text className="muted" x={width - 2} y={y + 4} textAnchor="end">
                    {item.median_days === null
                      ? '–'
                      : t('times.days', { value: formats.decimal(item.median_days) })}
                  </text>
                </DrillMark>
              );
            })}
          </>
        );
      }}
    </Sized>
  );
}
