import { GridRows } from '@visx/grid';
import { scaleLinear } from '@visx/scale';
import { LinePath } from '@visx/shape';
import { useState, type PointerEvent } from 'react';
import { useTranslation } from 'react-i18next';

import type { CurvePoint } from '../api/queries/predictions';
import { addDays } from '../format/formats';
import { useFormats } from '../format/useFormats';
import { PointReader } from './PointReader';
import { nearestIndex } from './points';
import { Sized } from './Sized';

type Props = {
  points: readonly CurvePoint[];
  /** The local day of the day 0. */
  from: string;
  label: string;
};

export const RETURN_CURVE_HEIGHT = 190;
const MARGIN = { top: 10, right: 14, bottom: 24, left: 44 };
const TICKS = [0, 90, 180, 270, 365];
const SHARES = [0, 0.25, 0.5, 0.75, 1];
/** The day that is read out before somebody moves the cursor. */
const FIRST_READ = 90;

/** The chance of a return by days from now. */
export function ReturnCurve({ points, from, label }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const [cursor, setCursor] = useState<number | null>(null);
  const days = points.map((point) => point.day);
  const index = cursor ?? nearestIndex(days, FIRST_READ);
  const point = points[index];
  const last = days.at(-1);
  if (point === undefined || last === undefined) return null;
  const bottom = RETURN_CURVE_HEIGHT - MARGIN.bottom;
  const y = scaleLinear({ domain: [0, 1], range: [bottom, MARGIN.top] });
  const read = {
    when: t('prediction.within', { count: point.day }),
    chance: formats.percent(point.p_return * 100),
    until: t('prediction.until', { day: formats.day(addDays(from, point.day)) }),
  };
  return (
    <>
      <Sized height={RETURN_CURVE_HEIGHT} label={label}>
        {(width) => {
          const right = width - MARGIN.right;
          const x = scaleLinear({ domain: [0, Math.max(last, 1)], range: [MARGIN.left, right] });
          const follow = (event: PointerEvent<SVGGElement>) => {
            const box = event.currentTarget.ownerSVGElement?.getBoundingClientRect();
            if (box !== undefined) setCursor(nearestIndex(days, x.invert(event.clientX - box.left)));
          };
          return (
            <g onPointerMove={follow} onPointerLeave={() => setCursor(null)}>
              <rect x={0} y={0} width={width} height={RETURN_CURVE_HEIGHT} fill="transparent" />
              <GridRows
                scale={y}
                left={MARGIN.left}
                width={Math.max(right - MARGIN.left, 0)}
                tickValues={SHARES}
                stroke="var(--line)"
                strokeDasharray="2 4"
              />
              <g aria-hidden>
                {SHARES.map((share) => (
                  <text key={share} className="muted" x={MARGIN.left - 8} y={y(share) + 4} textAnchor="end">
                    {formats.percent(share * 100)}
                  </text>
                ))}
                {TICKS.filter((day) => day <= last).map((day) => (
                  <text key={day} className="muted" x={x(day)} y={bottom + 18} textAnchor="middle">
                    {formats.int(day)}
                  </text>
                ))}
              </g>
              <LinePath
                data={[...points]}
                x={({ day }) => x(day)}
                y={({ p_return }) => y(p_return)}
                className="curve-line"
              />
              <line className="cursor-line" x1={x(point.day)} x2={x(point.day)} y1={MARGIN.top} y2={bottom} />
              <circle className="curve-dot" cx={x(point.day)} cy={y(point.p_return)} r={4.5} />
            </g>
          );
        }}
      </Sized>
      <PointReader
        label={t('prediction.day')}
        count={points.length}
        index={index}
        sentence={`${read.when}: ${read.chance}, ${read.until}`}
        onMove={setCursor}
      >
        <span>{read.when}</span>
        <b>{read.chance}</b>
        <span className="quiet">{read.until}</span>
      </PointReader>
    </>
  );
}
