import { Button, Input, Modal } from 'antd';
import { useId, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { eraseCustomer } from '../../api/mutations/customer';
import { useView } from './context';
import { focusFirstField } from '../../parts/focusFirstField';
import { Fault } from './Fault';
import { useChange } from './useChange';

/** Erases the customer for good, when the number was typed. */
export default function EraseDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const { id, onErased } = useView();
  const [typed, setTyped] = useState('');
  const field = useId();
  const erase = useChange(() => eraseCustomer(id), onErased);
  return (
    <Modal
      open
      title={t('customer.dialog.eraseTitle', { id })}
      onCancel={onClose}
      afterOpenChange={focusFirstField}
      footer={
        <>
          <Button onClick={onClose}>{t('customer.dialog.close')}</Button>
          <Button
            type="primary"
            danger
            loading={erase.isPending}
            disabled={typed.trim() !== String(id)}
            onClick={() => erase.mutate(undefined)}
          >
            {t('customer.dialog.eraseSave')}
          </Button>
        </>
      }
    >
      <p>{t('customer.dialog.eraseText')}</p>
      <div className="fields">
        <div className="field">
          <label htmlFor={field}>{t('customer.dialog.eraseType', { id })}</label>
          <Input
            id={field}
            inputMode="numeric"
            autoComplete="off"
            value={typed}
            onChange={(event) => setTyped(event.target.value)}
          />
        </div>
      </div>
      <Fault error={erase.error} />
    </Modal>
  );
}
