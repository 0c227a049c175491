import { useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { lazy, Suspense, useState } from 'react';

import {
  bulkPurpose,
  type BulkActions,
  type BulkRequest,
  type ContactType,
} from '../../api/mutations/actions';
import { forgetUnanswered, unansweredOf } from '../../api/unanswered';
import { useBoot } from '../useBoot';
import { BulkJob } from './BulkJob';
import { readBulkSearch, type BulkSearch } from './bulkSearch';
import { BulkUnanswered } from './BulkUnanswered';

// Opened only for many customers at once.
const BulkDialog = lazy(() => import('./BulkDialog'));

export type Whom = Pick<BulkRequest, 'customer_ids' | 'filter'>;
type Props = {
  /** What is to be done for them; null while nothing is. */
  type: ContactType | null;
  whom: Whom;
  count: number;
  onClose: () => void;
  onAccepted: () => void;
};

/**
 * An action for many customers: the dialog that counts before it acts, a request whose answer is missing, and the
 * progress of the job, which the address names.
 */
export function Bulk({ type, whom, count, onClose, onAccepted }: Props) {
  const { company } = useBoot();
  const { job, of } = readBulkSearch(useSearch({ strict: false }));
  const navigate = useNavigate();
  const client = useQueryClient();
  const purpose = bulkPurpose(company.id);
  const [unanswered, setUnanswered] = useState(() => unansweredOf<BulkRequest>(purpose));
  const reread = () => setUnanswered(unansweredOf<BulkRequest>(purpose));
  const showJob = (shown: BulkSearch) => {
    // The address of the present page, whichever it is.
    const search = ({ job: _job, of: _of, ...rest }: BulkSearch) => ({ ...rest, ...shown });
    void navigate({ to: '.', search: search as never, replace: true });
  };
  const accept = ({ job: accepted }: BulkActions, acceptedType: ContactType) => {
    reread();
    if (accepted === null) return;
    client.setQueryData(['jobs', 'bulk', accepted.id], accepted);
    showJob({ job: accepted.id, of: acceptedType });
    onAccepted();
    onClose();
  };
  const forget = () => {
    forgetUnanswered(purpose);
    reread();
  };
  return (
    <>
      {unanswered !== null && (
        <BulkUnanswered
          request={unanswered.body}
          onAnswer={(answer) => accept(answer, unanswered.body.type)}
          onForget={forget}
        />
      )}
      {job !== undefined && of !== undefined && (
        <BulkJob key={job} jobId={job} type={of} onClose={() => showJob({})} />
      )}
      {type !== null && unanswered === null && (
        <Suspense>
          <BulkDialog
            type={type}
            whom={whom}
            count={count}
            onClose={onClose}
            onAnswer={(answer) => accept(answer, type)}
            onUnanswered={() => {
              reread();
              onClose();
            }}
          />
        </Suspense>
      )}
    </>
  );
}
