import { useRouter } from '@tanstack/react-router';
import type { MouseEvent } from 'react';
import { useTranslation } from 'react-i18next';

type Props = { id: number; reference?: string | null; name: string | null };

/** The name of a customer, which leads to the customer's page. */
export function ContactName({ id, reference, name }: Props) {
  const { t } = useTranslation();
  const { history } = useRouter();
  if (id < 0) return <span className="erased">{t('drill.erased')}</span>;
  const href = `/customers/${id}`;
  const follow = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    history.push(href);
  };
  return (
    <a href={href} onClick={follow} className="customer-link">
      {name ?? t('contact.number', { id: reference ?? id })}
    </a>
  );
}
