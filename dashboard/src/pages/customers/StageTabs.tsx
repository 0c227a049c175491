import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';

import { distributionQuery } from '../../api/queries/analytics';
import { can } from '../../api/rights';
import { useFormats } from '../../format/useFormats';
import { stageStyle } from '../../parts/StageChip';
import { StageIcon } from '../../parts/StageIcon';
import { useBoot } from '../../parts/useBoot';
import { useStages } from '../../parts/useStages';
import { filtersOf } from './search';
import { useCustomersSearch } from './useCustomersSearch';

/**
 * A tab for each stage. The numbers are those of the whole company, from one report that counts all stages: they are
 * shown to persons with the right to it, and while no other filter is on.
 */
export function StageTabs() {
  const { t } = useTranslation();
  const formats = useFormats();
  const { scopes } = useBoot();
  const { search, changed } = useCustomersSearch();
  const stages = useStages();
  const others = Object.keys(filtersOf(search)).filter((name) => name !== 'stage');
  const isCounted = can(scopes, 'analytics:read');
  const counts = useQuery({ ...distributionQuery(undefined), enabled: isCounted }).data;
  const countOf = (key: string | null) => {
    if (counts === undefined || others.length > 0) return null;
    const item = counts.items.find((each) => each.stage_key === key);
    return formats.int(key === null ? counts.total : (item?.customers ?? 0));
  };
  const tab = (key: string | null, name: string) => ({
    search: changed({ stage: key ?? undefined }),
    'aria-current': (search.stage ?? null) === key ? ('true' as const) : undefined,
    children: (
      <>
        <span>{name}</span>
        {countOf(key) !== null && <b>{countOf(key)}</b>}
      </>
    ),
  });
  const all = tab(null, t('customers.everyStage'));
  return (
    <nav className="stage-tabs" aria-label={t('customers.stages')}>
      <Link to="/customers" className="stage-tab" {...all} />
      {stages?.map((stage) => {
        const { children, ...rest } = tab(stage.key, stage.short);
        return (
          <Link key={stage.key} to="/customers" className="stage-tab" style={stageStyle(stage)} {...rest}>
            <StageIcon icon={stage.icon} size={14} />
            {children}
          </Link>
        );
      })}
    </nav>
  );
}
