import { AreaStack, LinePath } from '@visx/shape';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';
import type { DrillTarget } from '../parts/drillTargets';
import type { StageLook } from '../parts/useStages';
import { DrillMark } from './DrillMark';
import { spread } from './labels';
import type { DayRow } from './stageSeries';

type Props = {
  rows: readonly DayRow[];
  stages: readonly StageLook[];
  last: DayRow;
  targetOf: (stage: StageLook, row: DayRow) => DrillTarget;
  x: (row: DayRow) => number;
  y: (value: number) => number;
  /** Where the labels begin; null: there is no room for any. */
  labelX: number | null;
  within: readonly [number, number];
};

const LINE = 15;

/** The areas of the stages, each with an edge in its ink and its name at the end. */
export function StageBands({ rows, stages, last, targetOf, x, y, labelX, within }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const counts = stages.map((stage) => last.counts[stage.key] ?? 0);
  const middles = counts.map((count, index) => {
    const below = counts.slice(0, index).reduce((sum, each) => sum + each, 0);
    return y(below + count / 2) + 4;
  });
  const labels = spread(middles, LINE, within[0], within[1]);
  return (
    <AreaStack
      data={[...rows]}
      keys={stages.map((stage) => stage.key)}
      value={(row, key) => row.counts[key] ?? 0}
      x={(point) => x(point.data)}
      y0={(point) => y(point[0])}
      y1={(point) => y(point[1])}
    >
      {({ stacks, path }) =>
        stages.map((stage, index) => {
          const stack = stacks.find((each) => each.key === stage.key) ?? [];
          const name = t('area.band', {
            stage: stage.short,
            count: last.counts[stage.key] ?? 0,
            day: formats.day(last.day),
          });
          return (
            <DrillMark key={stage.key} to={targetOf(stage, last)} name={name} className="area">
              <path
                d={path(stack as Parameters<typeof path>[0]) ?? ''}
                fill={stage.fill}
                className="area-band"
              />
              <LinePath
                data={[...stack]}
                x={(point) => x(point.data)}
                y={(point) => y(point[1])}
                stroke={stage.ink}
                strokeWidth={1.4}
              />
              {labelX !== null && (
                <text x={labelX} y={labels[index] ?? 0} style={{ fill: stage.ink }}>
                  {stage.short}
                </text>
              )}
            </DrillMark>
          );
        })
      }
    </AreaStack>
  );
}
