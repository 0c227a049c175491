import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import type { MergePreview } from '../../api/queries/duplicates';
import { useFormats } from '../../format/useFormats';
import { Loading } from '../Loading';
import { useStageLook } from '../useStages';

const FIELDS = ['name', 'first_name', 'email', 'phone', 'language', 'owner', 'notes', 'metadata'] as const;
const ATTRIBUTE = 'attributes.';

type Props = { preview: UseQueryResult<MergePreview>; survivor: number; merged: number };

/** What the merge would do now: the survivor afterwards, and what is taken over. */
export function MergeEffect({ preview, survivor, merged }: Props) {
  const { t } = useTranslation();
  const { data, error, isFetching } = preview;
  if (data === undefined)
    return error === null ? (
      <div role="status" aria-label={t('merge.reading')}>
        <Loading height={220} />
      </div>
    ) : null;
  return (
    <section className="merge-effect" aria-busy={isFetching} aria-label={t('merge.preview')}>
      <h3>{t('merge.preview')}</h3>
      <dl>
        <Afterwards found={data} />
        <TakenOver found={data} />
      </dl>
      <p className="hint">{t('merge.permanent', { merged, survivor })}</p>
    </section>
  );
}

function Line({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Afterwards({ found: { customer, from_stage: from } }: { found: MergePreview }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const { journey, email, phone } = customer;
  const stage = journey.stage_name;
  const contacts = [email, phone].filter((each) => each !== null);
  return (
    <>
      <Line name={t('merge.contact')}>
        {contacts.length === 0 ? t('merge.noContact') : contacts.map((each) => <bdi key={each}>{each}</bdi>)}
      </Line>
      <Line name={t('merge.stage')}>
        {from === journey.current_stage
          ? t('merge.stageStays', { stage })
          : t('merge.stageMoves', { from: lookOf(from).name, stage })}
      </Line>
      <Line name={t('merge.appointments')}>{formats.int(journey.total_appointments)}</Line>
      <Line name={t('merge.value')}>{formats.money(journey.lifetime_value)}</Line>
    </>
  );
}

function TakenOver({ found }: { found: MergePreview }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const nameOf = (field: string): string => {
    const known = FIELDS.find((each) => each === field);
    if (known !== undefined) return t(`merge.field.${known}`);
    return field.startsWith(ATTRIBUTE)
      ? t('merge.attribute', { name: field.slice(ATTRIBUTE.length) })
      : field;
  };
  const { events, open_tasks: tasks, filled_fields: fields, consent_changes: consents } = found;
  return (
    <>
      <Line name={t('merge.takes')}>
        {formats.list([t('merge.events', { count: events }), t('merge.tasks', { count: tasks })])}
      </Line>
      <Line name={t('merge.fields')}>
        {fields.length === 0 ? t('merge.noFields') : formats.list(fields.map(nameOf))}
      </Line>
      {consents.length > 0 && (
        <Line name={t('merge.consents')}>
          {consents.map(({ channel, previous_status: previous, status }) => (
            <span key={channel}>
              {t('merge.consent', {
                channel: t(`merge.channel.${channel}`),
                from: t(`merge.status.${previous}`),
                to: t(`merge.status.${status}`),
              })}
            </span>
          ))}
        </Line>
      )}
    </>
  );
}
