import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { calibrationQuery } from '../../api/queries/predictions';
import { can } from '../../api/rights';
import { Denied } from '../../parts/Failure';
import { useBoot } from '../../parts/useBoot';
import { Curve } from './Curve';
import { Model } from './Model';
import { Months } from './Months';
import '../../look/atRisk.css';
import '../../look/prediction.css';
import '../../words/calibrationPage';

/** How well predictions of churn came true: the curve, each month, and the model with its back-test. */
export function CalibrationPage() {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  if (!can(scopes, 'analytics:read')) {
    return (
      <div className="page">
        <h1>{t('calibration.title')}</h1>
        <Denied scope="analytics:read" />
      </div>
    );
  }
  return <Content />;
}

function Content() {
  const { t } = useTranslation();
  const result = useQuery({ ...calibrationQuery(), placeholderData: keepPreviousData });
  return (
    <div className="page">
      <div className="page-head">
        <div>
          <h1>{t('calibration.title')}</h1>
          <p className="lead">
            {result.data !== undefined && t('calibration.lead', { days: result.data.horizon_days })}
          </p>
        </div>
      </div>
      <div className="grid two">
        <Curve result={result} />
        <Model />
      </div>
      <Months result={result} />
    </div>
  );
}
