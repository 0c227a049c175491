import { useQueryClient } from '@tanstack/react-query';
import { Button, Modal } from 'antd';
import { useTranslation } from 'react-i18next';

import { resumeSession } from '../api/signedOut';

/** Laid over the page when the session has ended. The page stays, so that nothing typed there is lost. */
export default function SignInOverlay() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const goOn = () => {
    resumeSession();
    void client.invalidateQueries();
  };
  const here = encodeURIComponent(location.pathname + location.search);
  return (
    <Modal
      open
      title={t('shell.sessionOver')}
      closable={false}
      mask={{ closable: false }}
      keyboard={false}
      footer={
        <>
          <Button onClick={goOn}>{t('shell.signInDone')}</Button>
          <Button type="primary" href={`/sign-in?next=${here}`}>
            {t('shell.signIn')}
          </Button>
        </>
      }
    >
      <p>{t('shell.sessionOverText')}</p>
    </Modal>
  );
}
