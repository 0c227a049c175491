import '../../look/atRisk.css';

import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import { can } from '../../api/rights';
import { Denied } from '../../parts/Failure';
import { useBoot } from '../../parts/useBoot';
import { useStages } from '../../parts/useStages';
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
          <p className="lead">
            {list.data !== undefined && t('atRisk.lead', { count: list.data.total })} <EarlyWarning />
          </p>
        </div>
        {can(scopes, 'admin') && <RefreshAnalysis />}
      </div>
      <RiskList list={list} />
    </div>
  );
}

/** The way to those who are not at risk yet, those with the largest expected loss first. */
function EarlyWarning() {
  const { t } = useTranslation();
  const stages = useStages() ?? [];
  const stage = stages.flatMap(({ key, kind }) => (kind === 'risk' ? [] : [key])).join(',');
  return (
    <Link
      to="/customers"
      search={{ sort: '-expected_loss', ...(stage === '' ? {} : { stage }) }}
      className="link"
    >
      {t('atRisk.early')}
    </Link>
  );
}
