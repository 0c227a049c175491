import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Button } from 'antd';
import { X } from 'lucide-react';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';

import type { ContactType } from '../../api/mutations/actions';
import { bulkJobQuery, isOver } from '../../api/queries/jobs';
import { useFormats } from '../../format/useFormats';
import { Failure } from '../Failure';
import { JobProgress } from '../JobProgress';
import { Loading } from '../Loading';
import { Outcomes } from './Outcomes';

type Props = { jobId: number; type: ContactType; onClose: () => void };

/** How far a bulk action is, and in the end the customers by what has happened for them. */
export function BulkJob({ jobId, type, onClose }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const client = useQueryClient();
  const job = useQuery(bulkJobQuery(jobId));
  const hasEnded = isOver(job.data);
  useEffect(() => {
    if (!hasEnded) return;
    for (const key of ['atRisk', 'tasks', 'today', 'actions', 'customers'])
      void client.invalidateQueries({ queryKey: [key] });
  }, [hasEnded, client]);
  return (
    <section className="card bulk-job" aria-label={t('atRisk.job')}>
      <header>
        <h2>{t('atRisk.job')}</h2>
        {job.data !== undefined && (
          <span className="muted">
            {t('atRisk.requestedAt', { time: formats.clock(job.data.created_at) })}
          </span>
        )}
        <span className="space" />
        <Button type="text" icon={<X size={15} />} aria-label={t('atRisk.closeJob')} onClick={onClose} />
      </header>
      {job.error !== null && <Failure error={job.error} onRetry={() => void job.refetch()} />}
      {job.data === undefined && job.error === null && <Loading height={48} />}
      {job.data !== undefined && !hasEnded && <JobProgress job={job.data} label={t('atRisk.job')} />}
      <div role="status">
        {job.data?.status === 'done' && <Outcomes type={type} counts={job.data.counts} />}
        {job.data?.status === 'failed' && <p className="fault">{job.data.error}</p>}
      </div>
    </section>
  );
}
