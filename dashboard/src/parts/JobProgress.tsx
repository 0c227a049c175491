import { useTranslation } from 'react-i18next';

import type { Job } from '../api/queries/jobs';
import { useFormats } from '../format/useFormats';

/** How far a job is, as a bar and in words. */
export function JobProgress({ job, label }: { job: Job | undefined; label: string }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { done = 0, total = null } = job ?? {};
  const isKnown = total !== null && total > 0;
  return (
    <div className="job">
      <progress aria-label={label} {...(isKnown ? { value: Math.min(done, total), max: total } : {})} />
      <span>
        {isKnown
          ? t('job.progress', { done: formats.int(done), total: formats.int(total) })
          : t('job.waiting')}
      </span>
    </div>
  );
}
