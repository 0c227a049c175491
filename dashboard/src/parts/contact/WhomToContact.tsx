import { useQuery } from '@tanstack/react-query';
import { Phone } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { contactQuery } from '../../api/queries/contact';
import { useFormats } from '../../format/useFormats';
import type { ContactTarget } from './contactTarget';

/** The number to call or the address to write to, and whether somebody is about to call already. */
export function WhomToContact({ target }: { target: ContactTarget }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const profile = useQuery(contactQuery(target.customer.id));
  const { type, openTask } = target;
  const phone = profile.data?.phone ?? null;
  const email = profile.data?.email ?? null;
  return (
    <div className="whom">
      {type === 'call' && phone !== null && (
        <a className="phone-link" href={`tel:${phone.replaceAll(/[^+\d]/g, '')}`}>
          <Phone size={16} aria-hidden />
          {t('contact.dial', { phone })}
        </a>
      )}
      {type === 'call' && profile.isSuccess && phone === null && <p>{t('contact.noPhone')}</p>}
      {type !== 'call' && email !== null && <p className="muted">{t('contact.goesTo', { email })}</p>}
      {type === 'call' && openTask != null && (
        <p className="hint">
          {t(openTask.assignee === null ? 'contact.openTask' : 'contact.openTaskOf', {
            day: formats.instantDay(openTask.due_at),
            who: openTask.assignee ?? '',
          })}
        </p>
      )}
    </div>
  );
}
