import { useQueryClient } from '@tanstack/react-query';
import { Button, Checkbox, Input, Modal } from 'antd';
import { lazy, Suspense, useId, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { moveCustomer, type Move } from '../../api/mutations/customer';
import { ProblemError } from '../../api/problems';
import { customerQuery, transitionsQuery, type Transition } from '../../api/queries/customer';
import { isAnswer } from '../../api/unanswered';
import { addDays } from '../../format/formats';
import { endOfDay } from '../../format/instants';
import { useFormats } from '../../format/useFormats';
import { Loading } from '../../parts/Loading';
import { focusFirstField } from '../../parts/focusFirstField';
import { notify } from '../../parts/notices';
import { useBoot } from '../../parts/useBoot';
import { useStageLook } from '../../parts/useStages';
import { useView } from './context';
import { Fault } from './Fault';
import { Changes } from './Changes';
import { StageChoice } from './StageChoice';
import { useChange } from './useChange';

const DayField = lazy(() => import('../../parts/DayField'));
const MAX_NOTES = 10_000;
const MONTH = 30;

type Form = { toStage: string | null; notes: string; isHeld: boolean; heldUntil: string | null };
type Sent = { version: number; body: Move };

/** Moves the customer by hand. What the person saw when it was opened is what the move is based on. */
export default function MoveDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const client = useQueryClient();
  const { company } = useBoot();
  const { id, journey, name, today } = useView();
  const notesId = useId();
  const [version, setVersion] = useState(journey.version);
  const [form, setForm] = useState<Form>({
    toStage: null,
    notes: '',
    isHeld: false,
    heldUntil: addDays(today, MONTH),
  });
  const [changes, setChanges] = useState<Transition[] | null>(null);
  // A request without an answer is sent again as it was, so that it is carried out once only.
  const unanswered = useRef<Sent | null>(null);
  const move = useChange(
    (sent: Sent) => moveCustomer(company.id, id, sent.version, sent.body),
    ({ journey: now, pinned }) => {
      const stage = now.stage_name;
      notify(
        pinned === null
          ? t('customer.told.moved', { stage })
          : t('customer.told.movedHeld', { stage, day: formats.instantDay(pinned.until) }),
      );
      onClose();
    },
  );
  const readAgain = async () => {
    try {
      const [now, moves] = await Promise.all([
        client.fetchQuery({ ...customerQuery(id), staleTime: 0 }),
        client.fetchInfiniteQuery({ ...transitionsQuery(id), staleTime: 0 }),
      ]);
      const items = moves.pages[0]?.items ?? [];
      setChanges(items.filter((each) => each.seq > version));
      setVersion(now.journey.version);
    } catch {
      setChanges([]);
    }
    move.reset();
  };
  const change = (part: Partial<Form>) => {
    move.reset();
    setForm({ ...form, ...part });
  };
  const send = () => {
    const body = bodyOf(form, company.timezone);
    if (body === null) return;
    const last = unanswered.current;
    const isSame = last !== null && JSON.stringify(last.body) === JSON.stringify(body);
    const sent = isSame ? last : { version, body };
    move.mutate(sent, {
      onError: (error) => {
        unanswered.current = isAnswer(error) ? null : sent;
        if (error instanceof ProblemError && error.status === 412) void readAgain();
      },
    });
  };
  const isStale = move.error instanceof ProblemError && move.error.status === 412;
  const target = form.toStage === null ? null : lookOf(form.toStage).name;
  const isDayWrong = form.isHeld && (form.heldUntil === null || form.heldUntil < today);
  const button = () => {
    if (target === null) return t('customer.dialog.move');
    return t(changes === null ? 'customer.dialog.moveTo' : 'customer.dialog.moveAnyway', { stage: target });
  };
  return (
    <Modal
      open
      title={t('customer.dialog.moveTitle', { name })}
      onCancel={onClose}
      afterOpenChange={focusFirstField}
      footer={
        <>
          <Button onClick={onClose}>{t('customer.dialog.close')}</Button>
          <Button
            type="primary"
            loading={move.isPending}
            disabled={target === null || isDayWrong}
            onClick={send}
          >
            {button()}
          </Button>
        </>
      }
    >
      {changes !== null && <Changes moves={changes} />}
      <div className="fields">
        <StageChoice
          chosen={form.toStage}
          current={journey.current_stage}
          onChoose={(toStage) => change({ toStage })}
        />
        <div className="field">
          <label htmlFor={notesId}>{t('customer.dialog.notes')}</label>
          <Input.TextArea
            id={notesId}
            dir="auto"
            rows={3}
            maxLength={MAX_NOTES}
            value={form.notes}
            onChange={(event) => change({ notes: event.target.value })}
          />
        </div>
        <div className="hold">
          <Checkbox checked={form.isHeld} onChange={(event) => change({ isHeld: event.target.checked })}>
            {t('customer.dialog.hold')}
          </Checkbox>
          {form.isHeld && (
            <Suspense fallback={<Loading height={34} />}>
              <DayField
                label={t('customer.dialog.holdUntil')}
                day={form.heldUntil}
                min={today}
                onChoose={(heldUntil) => change({ heldUntil })}
              />
            </Suspense>
          )}
          {isDayWrong && <p className="fault">{t('customer.dialog.chooseDay')}</p>}
        </div>
      </div>
      {!isStale && <Fault error={move.error} />}
    </Modal>
  );
}

function bodyOf({ toStage, notes, isHeld, heldUntil }: Form, timezone: string): Move | null {
  if (toStage === null) return null;
  return {
    to_stage: toStage,
    notes: notes.trim() === '' ? null : notes.trim(),
    pin_until: isHeld && heldUntil !== null ? endOfDay(heldUntil, timezone) : null,
  };
}
