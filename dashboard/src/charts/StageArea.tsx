import { GridRows } from '@visx/grid';
import { scaleLinear, scaleUtc } from '@visx/scale';
import { useState, type PointerEvent } from 'react';

import { useFormats } from '../format/useFormats';
import type { DrillTarget } from '../parts/drillTargets';
import type { StageLook } from '../parts/useStages';
import { DayReader } from './DayReader';
import { textWidth } from './measure';
import { Sized } from './Sized';
import { StageBands } from './StageBands';
import { nearestDay, timeOf, type DayRow } from './stageSeries';

type Props = {
  rows: readonly DayRow[];
  stages: readonly StageLook[];
  targetOf: (stage: StageLook, row: DayRow) => DrillTarget;
  label: string;
};

export const AREA_HEIGHT = 292;
const MARGIN = { top: 10, bottom: 24, left: 36 };
const LABEL_GAP = 10;
/** Narrower drawings have no labels at the end of the areas; the line below names the stages. */
const MIN_LABELLED = 440;

/** Customers by stage, day by day, as stacked areas; stages of risk are on top. */
export function StageArea({ rows, stages, targetOf, label }: Props) {
  const formats = useFormats();
  const [cursor, setCursor] = useState<number | null>(null);
  const [first, last] = [rows.at(0), rows.at(-1)];
  if (first === undefined || last === undefined) return null;
  const labels = Math.max(0, ...stages.map((stage) => textWidth(stage.short))) + LABEL_GAP + 2;
  const most = Math.max(1, ...rows.map((row) => row.total));
  const bottom = AREA_HEIGHT - MARGIN.bottom;
  return (
    <>
      <Sized height={AREA_HEIGHT} label={label}>
        {(width) => {
          const isLabelled = width >= MIN_LABELLED;
          const right = width - (isLabelled ? labels : 10);
          const x = scaleUtc({ domain: [timeOf(first), timeOf(last)], range: [MARGIN.left, right] });
          const y = scaleLinear({ domain: [0, most], range: [bottom, MARGIN.top], nice: 4 });
          const shown = cursor === null ? undefined : rows[cursor];
          const follow = (event: PointerEvent<SVGGElement>) => {
            const box = event.currentTarget.ownerSVGElement?.getBoundingClientRect();
            if (box !== undefined) setCursor(nearestDay(rows, x.invert(event.clientX - box.left)));
          };
          return (
            <g onPointerMove={follow} onPointerLeave={() => setCursor(null)}>
              <GridRows
                scale={y}
                left={MARGIN.left}
                width={Math.max(right - MARGIN.left, 0)}
                numTicks={4}
                stroke="var(--line)"
                strokeDasharray="2 4"
              />
              <g aria-hidden>
                {y.ticks(4).map((tick) => (
                  <text key={tick} className="muted" x={MARGIN.left - 8} y={y(tick) + 4} textAnchor="end">
                    {formats.int(tick)}
                  </text>
                ))}
                {x.ticks(width > 520 ? 6 : 3).map((tick) => (
                  <text
                    key={tick.getTime()}
                    className="muted"
                    x={x(tick)}
                    y={AREA_HEIGHT - 5}
                    textAnchor="middle"
                  >
                    {tickText(tick, rows, formats)}
                  </text>
                ))}
              </g>
              <StageBands
                {...{ rows, stages, last, targetOf }}
                x={(row) => x(timeOf(row))}
                y={(value) => y(value)}
                labelX={isLabelled ? right + LABEL_GAP : null}
                within={[MARGIN.top + 4, bottom + 2]}
              />
              {shown !== undefined && (
                <line
                  className="cursor-line"
                  x1={x(timeOf(shown))}
                  x2={x(timeOf(shown))}
                  y1={MARGIN.top}
                  y2={bottom}
                />
              )}
            </g>
          );
        }}
      </Sized>
      <DayReader rows={rows} stages={stages} cursor={cursor} onMove={setCursor} />
    </>
  );
}

function tickText(tick: Date, rows: readonly DayRow[], formats: ReturnType<typeof useFormats>): string {
  if (rows.length < 100) return formats.shortDay(tick);
  return tick.getUTCMonth() === 0 ? formats.monthYear(tick) : formats.month(tick);
}
