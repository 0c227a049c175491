import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { csvHref, riskBandsQuery } from '../../api/queries/analytics';
import { ChartFrame } from '../../charts/ChartFrame';
import { RiskBars } from '../../charts/RiskBars';
import { useFormats } from '../../format/useFormats';
import { DataTable } from '../../parts/DataTable';

export function Risk() {
  const { t } = useTranslation();
  const formats = useFormats();
  const result = useQuery({ ...riskBandsQuery(), placeholderData: keepPreviousData });
  return (
    <ChartFrame
      title={t('risk.title')}
      note={t('risk.note')}
      result={result}
      height={180}
      csv={csvHref('risk-distribution')}
      table={(data) => (
        <DataTable
          caption={t('risk.title')}
          rows={data.items}
          keyOf={(band) => band.band}
          columns={[
            { title: t('risk.band'), cell: (band) => t(`risk.${band.band}`) },
            {
              title: t('risk.range'),
              cell: (band) => `${formats.score(band.risk_min)}–${formats.score(band.risk_max)}`,
              isNumber: true,
            },
            { title: t('risk.customers'), cell: (band) => formats.int(band.customers), isNumber: true },
          ]}
        />
      )}
    >
      {(data) => (
        <RiskBars bands={data.items} targetOf={(band) => ({ figure: 'risk', search: { band: band.band } })} />
      )}
    </ChartFrame>
  );
}
