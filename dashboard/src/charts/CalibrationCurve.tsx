import { GridColumns, GridRows } from '@visx/grid';
import { scaleLinear } from '@visx/scale';
import { LinePath } from '@visx/shape';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { CalibrationBin } from '../api/queries/predictions';
import { useFormats } from '../format/useFormats';
import { PointReader } from './PointReader';
import { Sized } from './Sized';

type Props = { bins: readonly CalibrationBin[]; label: string };

export const CALIBRATION_HEIGHT = 340;
const MARGIN = { top: 26, right: 18, bottom: 44, left: 48 };
const SHARES = [0, 0.25, 0.5, 0.75, 1];

/** Predicted against realised shares: groups of customers with similar predictions, and the line of perfect ones. */
export function CalibrationCurve({ bins, label }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const [cursor, setCursor] = useState<number | null>(null);
  const index = Math.min(cursor ?? 0, bins.length - 1);
  const bin = bins[index];
  if (bin === undefined) return null;
  const percent = (share: number) => formats.percent(share * 100);
  const bottom = CALIBRATION_HEIGHT - MARGIN.bottom;
  const y = scaleLinear({ domain: [0, 1], range: [bottom, MARGIN.top] });
  const sentence = t('calibration.reader', {
    count: bin.customers,
    predicted: percent(bin.predicted),
    realised: percent(bin.realised),
  });
  return (
    <>
      <Sized height={CALIBRATION_HEIGHT} label={label}>
        {(width) => {
          const right = Math.max(width - MARGIN.right, MARGIN.left);
          const x = scaleLinear({ domain: [0, 1], range: [MARGIN.left, right] });
          const grid = { stroke: 'var(--line)', strokeDasharray: '2 4', tickValues: SHARES };
          return (
            <g onPointerLeave={() => setCursor(null)}>
              <GridRows scale={y} left={MARGIN.left} width={right - MARGIN.left} {...grid} />
              <GridColumns scale={x} top={MARGIN.top} height={bottom - MARGIN.top} {...grid} />
              <g aria-hidden>
                <text className="muted" x={0} y={12}>
                  {t('calibration.realised')}
                </text>
                <text className="muted" x={right} y={CALIBRATION_HEIGHT - 6} textAnchor="end">
                  {t('calibration.predicted')}
                </text>
                {SHARES.map((share) => (
                  <g key={share}>
                    <text className="muted" x={MARGIN.left - 8} y={y(share) + 4} textAnchor="end">
                      {percent(share)}
                    </text>
                    <text className="muted" x={x(share)} y={bottom + 18} textAnchor="middle">
                      {percent(share)}
                    </text>
                  </g>
                ))}
              </g>
              <line className="curve-ideal" x1={x(0)} y1={y(0)} x2={x(1)} y2={y(1)} />
              <LinePath
                data={[...bins]}
                x={({ predicted }) => x(predicted)}
                y={({ realised }) => y(realised)}
                className="curve-line thin"
              />
              {bins.map(({ predicted, realised }, at) => (
                <circle
                  // oxlint-disable-next-line react/no-array-index-key -- groups have no other name
                  key={at}
                  className={at === index ? 'curve-dot' : 'curve-dot other'}
                  cx={x(predicted)}
                  cy={y(realised)}
                  r={at === index ? 6.5 : 5}
                  onPointerEnter={() => setCursor(at)}
                />
              ))}
            </g>
          );
        }}
      </Sized>
      <PointReader
        label={t('calibration.bin')}
        count={bins.length}
        index={index}
        sentence={sentence}
        onMove={setCursor}
      >
        <span>{sentence}</span>
      </PointReader>
    </>
  );
}
