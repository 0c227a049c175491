import { CustomerLink } from '../../parts/CustomerLink';
import { CustomerName } from '../../parts/CustomerName';

/** The name of a customer of a list, leading to the customer's page unless the customer was erased. */
export function Name({ id, name }: { id: number; name: string | null }) {
  const shown = <CustomerName customer={{ customer_id: id, name }} />;
  return id < 0 ? shown : <CustomerLink id={id}>{shown}</CustomerLink>;
}
