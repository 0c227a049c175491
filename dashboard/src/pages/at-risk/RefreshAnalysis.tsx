import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Button } from 'antd';
import { RefreshCw } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { startRescore } from '../../api/mutations/jobs';
import { isOver, jobQuery } from '../../api/queries/jobs';
import { Failure } from '../../parts/Failure';
import { JobProgress } from '../../parts/JobProgress';
import { notify } from '../../parts/notices';

/** Computes all scores anew, shows how far that is, and then reads the list again. */
export function RefreshAnalysis() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const [jobId, setJobId] = useState<number | null>(null);
  const start = useMutation({ mutationFn: startRescore, onSuccess: (answer) => setJobId(answer.job_id) });
  const job = useQuery({ ...jobQuery(jobId ?? 0), enabled: jobId !== null });
  const isRunning = jobId !== null && !isOver(job.data);
  const status = jobId === null ? undefined : job.data?.status;
  const told = useRef<number | null>(null);
  const scored = job.data?.counts.scored ?? job.data?.done ?? 0;
  useEffect(() => {
    if ((status !== 'done' && status !== 'failed') || told.current === jobId) return;
    told.current = jobId;
    notify(t(status === 'done' ? 'atRisk.refreshed' : 'atRisk.refreshFailed', { count: scored }), {
      kind: status === 'done' ? 'good' : 'bad',
    });
    for (const key of ['atRisk', 'customers', 'today', 'analytics'])
      void client.invalidateQueries({ queryKey: [key] });
  }, [status, jobId, scored, client, t]);
  const error = start.error ?? (jobId === null ? null : job.error);
  return (
    <div className="refresh">
      {isRunning && <JobProgress job={job.data} label={t('atRisk.refresh')} />}
      {error !== null && <Failure error={error} />}
      <Button
        icon={<RefreshCw size={15} aria-hidden />}
        loading={start.isPending || isRunning}
        onClick={() => start.mutate()}
      >
        {t('atRisk.refresh')}
      </Button>
    </div>
  );
}
