import { Button, Modal } from 'antd';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { pinCustomer } from '../../api/mutations/customer';
import { addDays } from '../../format/formats';
import { endOfDay } from '../../format/instants';
import { useFormats } from '../../format/useFormats';
import { Loading } from '../../parts/Loading';
import { notify } from '../../parts/notices';
import { useBoot } from '../../parts/useBoot';
import { useStageLook } from '../../parts/useStages';
import { useView } from './context';
import { Fault } from './Fault';
import { useChange } from './useChange';

const DayField = lazy(() => import('../../parts/DayField'));
const LENGTHS = { week: 7, month: 30, quarter: 90 } as const;
const NAMES = ['week', 'month', 'quarter'] as const;

/** Holds the customer in the stage until the end of a day. */
export default function PinDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const { timezone } = useBoot().company;
  const { id, journey, name, today } = useView();
  const [day, setDay] = useState<string | null>(addDays(today, LENGTHS.month));
  const pin = useChange(
    (until: string) => pinCustomer(id, journey.version, until),
    (now) => {
      notify(t('customer.told.pinned', { day: formats.instantDay(now.pin_until ?? '') }));
      onClose();
    },
  );
  return (
    <Modal
      open
      title={t('customer.dialog.pinTitle', { name, stage: lookOf(journey.current_stage).name })}
      onCancel={onClose}
      footer={
        <>
          <Button onClick={onClose}>{t('customer.dialog.close')}</Button>
          <Button
            type="primary"
            loading={pin.isPending}
            disabled={day === null || day < today}
            onClick={() => {
              if (day !== null) pin.mutate(endOfDay(day, timezone));
            }}
          >
            {t('customer.dialog.pinSave')}
          </Button>
        </>
      }
    >
      <p>{t('customer.dialog.pinText')}</p>
      <div className="fields">
        <div className="hold">
          <span>{t('customer.dialog.holdUntil')}</span>
          <Suspense fallback={<Loading height={34} />}>
            <DayField label={t('customer.dialog.holdUntil')} day={day} min={today} onChoose={setDay} />
          </Suspense>
          {NAMES.map((length) => (
            <Button key={length} size="small" onClick={() => setDay(addDays(today, LENGTHS[length]))}>
              {t(`customer.dialog.${length}`)}
            </Button>
          ))}
        </div>
      </div>
      <Fault error={pin.error} />
    </Modal>
  );
}
