import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { predictionQuery, type Prediction as Predicted } from '../../api/queries/predictions';
import { ReturnCurve } from '../../charts/ReturnCurve';
import { addDays, localDay } from '../../format/formats';
import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';
import { EmptyState } from '../../parts/EmptyState';
import { useBoot } from '../../parts/useBoot';
import { useView } from './context';
import { Card, Section } from './Section';
import { ModelLine } from './ModelLine';
import { Outlook } from './Outlook';
import '../../look/prediction.css';

/** What is predicted for the customer now: chances, days, the curve of a return, and why. */
export function Prediction() {
  const { t } = useTranslation();
  const { instant, isErased } = useView();
  if (!isErased && instant === undefined) return <Present />;
  return (
    <Card title={t('prediction.title')}>
      <p className="quiet">{t(isErased ? 'prediction.erased' : 'prediction.past')}</p>
    </Card>
  );
}

function Present() {
  const { t } = useTranslation();
  const { id } = useView();
  const [isTable, setTable] = useState(false);
  const result = useQuery(predictionQuery(id));
  const title = t('prediction.curve');
  const button = (
    <button
      type="button"
      className="quiet-button"
      aria-label={t(isTable ? 'chart.chartOf' : 'chart.tableOf', { title })}
      onClick={() => setTable(!isTable)}
    >
      {t(isTable ? 'chart.chart' : 'chart.table')}
    </button>
  );
  const hasCurve = (result.data?.curve.length ?? 0) > 0;
  return (
    <Section
      title={t('prediction.title')}
      result={result}
      height={300}
      {...(hasCurve ? { extra: button } : {})}
    >
      {(found) =>
        found.unavailable_reason === null ? (
          <>
            <div className="prediction">
              <Outlook found={found} />
              <div className="outlook-curve">
                <h3>{title}</h3>
                {isTable ? <CurveTable found={found} /> : <Curve found={found} />}
                <p className="note">{t('prediction.curveNote')}</p>
              </div>
            </div>
            <ModelLine model={found.model} />
          </>
        ) : (
          <>
            <EmptyState title={t(`prediction.unavailable.${found.unavailable_reason}`)}>
              <p>{t(`prediction.unavailableText.${found.unavailable_reason}`)}</p>
            </EmptyState>
            {found.model !== null && <ModelLine model={found.model} />}
          </>
        )
      }
    </Section>
  );
}

function useFirstDay(found: Predicted): string {
  const { company } = useBoot();
  return localDay(found.as_of, company.timezone);
}

function Curve({ found }: { found: Predicted }) {
  const { t } = useTranslation();
  const from = useFirstDay(found);
  return <ReturnCurve points={found.curve} from={from} label={t('prediction.curve')} />;
}

function CurveTable({ found }: { found: Predicted }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const from = useFirstDay(found);
  return (
    <DataTable
      caption={t('prediction.curve')}
      rows={found.curve}
      keyOf={({ day }) => String(day)}
      columns={[
        { title: t('prediction.day'), cell: ({ day }) => formats.int(day) },
        { title: t('prediction.byDay'), cell: ({ day }) => formats.day(addDays(from, day)) },
        {
          title: t('prediction.chance'),
          cell: ({ p_return }) => formats.percent(p_return * 100),
          isNumber: true,
        },
      ]}
    />
  );
}
