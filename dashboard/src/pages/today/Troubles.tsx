import { TriangleAlert } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import type { Today } from '../../api/queries/today';
import { Undelivered } from './Undelivered';

/** What has failed and needs somebody; nothing if nothing has. */
export function Troubles({ today }: { today: Today }) {
  const { t } = useTranslation();
  const { dead_actions: dead, failed_jobs: failed } = today;
  if (dead + failed === 0) return null;
  return (
    <section className="card troubles" aria-labelledby="troubles">
      <header>
        <TriangleAlert size={16} aria-hidden />
        <h2 id="troubles">{t('today.troubles')}</h2>
      </header>
      <ul>
        {dead > 0 && (
          <li>
            {t('today.dead', { count: dead })}
            <Undelivered count={dead} />
          </li>
        )}
        {failed > 0 && <li>{t('today.failedJobs', { count: failed })}</li>}
      </ul>
    </section>
  );
}
