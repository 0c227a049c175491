import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import type { Prediction } from '../../api/queries/predictions';
import { can } from '../../api/rights';
import { useFormats } from '../../format/useFormats';
import { useBoot } from '../../parts/useBoot';

/** What the prediction rests on, how good the model was at this company, and the way to its figures. */
export function ModelLine({ model }: { model: Prediction['model'] }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { scopes } = useBoot();
  if (model === null) return null;
  const { basis, calibration_error: error } = model;
  const isLittle = basis === 'prior' || basis === 'purchase_model';
  return (
    <div className="outlook-model">
      {basis !== null && model.is_shown && (
        <span className={isLittle ? 'little' : undefined}>{t(`prediction.basis.${basis}`)}</span>
      )}{' '}
      {t('prediction.fitted', { day: formats.day(model.fitted_on) })}{' '}
      {error === null
        ? t('prediction.untested')
        : t('prediction.tested', { points: formats.decimal(error * 100) })}{' '}
      {can(scopes, 'analytics:read') && (
        <Link to="/calibration" className="link">
          {t('prediction.check')}
        </Link>
      )}
    </div>
  );
}
