import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { scoreHistoryQuery, scoresQuery, type Score, type ScorePoint } from '../../api/queries/customer';
import { useFormats } from '../../format/useFormats';
import { Meter } from '../../parts/Meter';
import { useView } from './context';
import { ScoreLine } from './ScoreLine';
import { Section } from './Section';
import { useFactorName } from './useFactorName';

type Kind = 'risk' | 'engagement';

/** Both scores by factor, and how they went in the last year. */
export function Scores() {
  const { t } = useTranslation();
  const { id, instant, asOf } = useView();
  const result = useQuery({ ...scoresQuery(id, instant), placeholderData: keepPreviousData });
  const history = useQuery({ ...scoreHistoryQuery(id, asOf), placeholderData: keepPreviousData });
  const points = history.data?.items ?? [];
  return (
    <Section title={t('customer.scores.title')} result={result} height={320}>
      {(scores) => (
        <div className="scores">
          <Block kind="risk" score={scores.risk} points={points} />
          <Block kind="engagement" score={scores.engagement} points={points} />
        </div>
      )}
    </Section>
  );
}

function Block({ kind, score, points }: { kind: Kind; score: Score; points: readonly ScorePoint[] }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const factorName = useFactorName();
  return (
    <div className={`score ${kind}`}>
      <div className="score-head">
        <h3>{t(`customer.scores.${kind}`)}</h3>
        <b className="score-value">{formats.score(score.score)}</b>
      </div>
      <ScoreLine name={t(`customer.scores.${kind}`)} values={points.map((point) => point[kind])} />
      <ul>
        {score.factors
          .filter((factor) => factor.weight > 0)
          .map((factor) => {
            const name = factorName(factor);
            const contribution = formats.score(factor.contribution);
            const weight = formats.score(factor.weight);
            return (
              <li key={factor.name} className="factor">
                <span>{name}</span>
                <b>{contribution}</b>
                <Meter
                  share={Math.min(1, factor.contribution / factor.weight)}
                  label={t('customer.scores.factor', { name, contribution, weight })}
                />
              </li>
            );
          })}
      </ul>
    </div>
  );
}
