import { CustomerLink } from '../../parts/CustomerLink';
import { CustomerName } from '../../parts/CustomerName';

type Props = { id: number; reference: string | null; name: string | null };

/** The name of a customer of a list, leading to the customer's page unless the customer was erased. */
export function Name({ id, reference, name }: Props) {
  const shown = <CustomerName customer={{ customer_id: id, customer_ref: reference, name }} />;
  return id < 0 ? shown : <CustomerLink id={id}>{shown}</CustomerLink>;
}
