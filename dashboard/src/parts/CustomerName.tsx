import { useTranslation } from 'react-i18next';

type Who = { customer_id: number; customer_ref?: string | null; name: string | null };

/** Returns what a customer is called, also without a name or after the erasure. */
export function useCustomerName(): (who: Who) => string {
  const { t } = useTranslation();
  return ({ customer_id: id, customer_ref: ref, name }) => {
    if (id < 0) return t('parts.erased');
    return name === null || name.trim() === '' ? t('parts.customer', { id: ref ?? id }) : name;
  };
}

/** The name of a customer, in its own direction of writing whatever surrounds it. */
export function CustomerName({ customer }: { customer: Who }) {
  const name = useCustomerName()(customer);
  return <bdi className={customer.customer_id < 0 ? 'erased' : undefined}>{name}</bdi>;
}

export const customerPath = (id: number): string => `/customers/${id}`;
