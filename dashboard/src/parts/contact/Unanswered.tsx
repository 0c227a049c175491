import { useTranslation } from 'react-i18next';

/** Says that the answer to a request has not arrived, and how to give the request up. */
export function Unanswered({ onGiveUp }: { onGiveUp: () => void }) {
  const { t } = useTranslation();
  return (
    <div className="failure" role="alert">
      <b>{t('contact.unanswered')}</b>
      <p>{t('contact.unansweredText')}</p>
      <button type="button" className="quiet-button" onClick={onGiveUp}>
        {t('contact.giveUp')}
      </button>
    </div>
  );
}
