import '../../look/atRisk.css';

import { useTranslation } from 'react-i18next';

import { can } from '../../api/rights';
import { Denied } from '../../parts/Failure';
import { useBoot } from '../../parts/useBoot';
import { RefreshAnalysis } from './RefreshAnalysis';
import { RiskList } from './RiskList';
import { useRiskList } from './useRiskList';

/** Whom to call: the customers who may be lost, and what to do about each or all of them. */
export function AtRiskPage() {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  if (!can(scopes, 'customers:read')) {
    return (
      <div className="page">
        <h1>{t('atRisk.title')}</h1>
        <Denied scope="customers:read" />
      </div>
    );
  }
  return <Content />;
}

function Content() {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const list = useRiskList();
  return (
    <div className="page">
      <div className="page-head">
        <div>
          <h1>{t('atRisk.title')}</h1>
          <p className="lead">{list.data !== undefined && t('atRisk.lead', { count: list.data.total })}</p>
        </div>
        {can(scopes, 'admin') && <RefreshAnalysis />}
      </div>
      <RiskList list={list} />
    </div>
  );
}
