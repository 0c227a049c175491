import { scaleLinear } from '@visx/scale';
import { LinePath } from '@visx/shape';

const WIDTH = 84;
const HEIGHT = 24;

/** A line of the last values beside a number; it adds nothing for readers who hear the page. */
export function Spark({ values, color }: { values: readonly number[]; color: string }) {
  if (values.length < 2) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = scaleLinear({ domain: [0, values.length - 1], range: [2, WIDTH - 2] });
  const y = scaleLinear({ domain: [low, high === low ? low + 1 : high], range: [HEIGHT - 3, 3] });
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" className="spark" aria-hidden>
      <LinePath
        data={[...values]}
        x={(_, index) => x(index)}
        y={(value) => y(value)}
        stroke={color}
        strokeWidth={1.6}
        vectorEffect="non-scaling-stroke"
        strokeLinejoin="round"
        strokeLinecap="round"
      />
    </svg>
  );
}
