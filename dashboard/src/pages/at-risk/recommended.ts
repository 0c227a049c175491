import type { ContactType } from '../../api/mutations/actions';
import type { RiskCustomer } from '../../api/queries/atRisk';
import { CONTACT_TYPES } from '../../parts/contact/ContactActions';

/**
 * Returns the buttons of a row: what is recommended, the most urgent first. Only a recommendation of high priority that
 * can be carried out is the primary button, so that one glance finds whom to call.
 */
export function recommendedOf(row: RiskCustomer): { types: ContactType[]; primary: ContactType | null } {
  const types = row.recommended_actions.filter((each): each is ContactType =>
    CONTACT_TYPES.includes(each as ContactType),
  );
  const index = row.retention_actions.findIndex(({ priority }) => priority === 'high');
  const urgent = index === -1 ? undefined : types[index];
  const isReached = urgent !== undefined && row.reach[urgent] === 'ok' && row.open_task === null;
  return { types, primary: isReached ? urgent : null };
}
