import { scaleLinear } from '@visx/scale';
import { LinePath } from '@visx/shape';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';

const WIDTH = 300;
const HEIGHT = 40;

/** A score at the end of each week of a year, from 0 at the foot to 1 at the top. */
export function ScoreLine({ name, values }: { name: string; values: readonly number[] }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const [first, last] = [values[0], values.at(-1)];
  if (first === undefined || last === undefined || values.length < 2) return null;
  const x = scaleLinear({ domain: [0, values.length - 1], range: [2, WIDTH - 2] });
  const y = scaleLinear({ domain: [0, 1], range: [HEIGHT - 3, 3] });
  const label = t('customer.scores.history', {
    score: name,
    first: formats.score(first),
    last: formats.score(last),
    low: formats.score(Math.min(...values)),
    high: formats.score(Math.max(...values)),
  });
  return (
    <div className="score-line">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
        <line x1={2} x2={WIDTH - 2} y1={y(0)} y2={y(0)} className="score-floor" />
        <LinePath
          data={[...values]}
          x={(_, index) => x(index)}
          y={(value) => y(value)}
          strokeWidth={1.8}
          vectorEffect="non-scaling-stroke"
          strokeLinejoin="round"
          strokeLinecap="round"
        />
      </svg>
      <small>{t('customer.scores.year')}</small>
    </div>
  );
}
