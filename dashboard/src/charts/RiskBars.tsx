import { useTranslation } from 'react-i18next';

import type { RiskBand } from '../api/queries/analytics';
import { useFormats } from '../format/useFormats';
import { DrillLink } from '../parts/DrillLink';
import type { DrillTarget } from '../parts/drillTargets';

type Props = { bands: readonly RiskBand[]; targetOf: (band: RiskBand) => DrillTarget };

/** Customers by band of the risk score, highest first. */
export function RiskBars({ bands, targetOf }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const most = Math.max(1, ...bands.map((band) => band.customers));
  return (
    <div className="risk-bars">
      {bands.toReversed().map((band) => {
        const name = t(`risk.${band.band}`);
        const [min, max] = [formats.score(band.risk_min), formats.score(band.risk_max)];
        return (
          <DrillLink
            key={band.band}
            to={targetOf(band)}
            className="risk-row"
            data-band={band.band}
            aria-label={`${name} ${t('risk.bar', { count: band.customers, band: name, min, max })}`}
          >
            <span className="risk-name">
              {name} <small>{`${min}–${max}`}</small>
            </span>
            <span className="risk-bar">
              <i style={{ width: `${(band.customers / most) * 100}%` }} />
            </span>
            <b>{formats.int(band.customers)}</b>
          </DrillLink>
        );
      })}
    </div>
  );
}
