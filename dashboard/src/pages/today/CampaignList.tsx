import { useInfiniteQuery, useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Popconfirm } from 'antd';
import { useTranslation } from 'react-i18next';

import { cancelCampaign } from '../../api/mutations/campaigns';
import { campaignsQuery, type Campaign } from '../../api/queries/campaigns';
import { can } from '../../api/rights';
import { useFormats } from '../../format/useFormats';
import { ContactName } from '../../parts/contact/ContactName';
import { Failure } from '../../parts/Failure';
import { Loading } from '../../parts/Loading';
import { notify } from '../../parts/notices';
import { useBoot } from '../../parts/useBoot';

/** The customers of campaigns: how far each is, and how to stop it. */
export function CampaignList({ kind }: { kind: 'running' | 'returned' }) {
  const { t } = useTranslation();
  const list = useInfiniteQuery(campaignsQuery(kind));
  const all = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="campaign-list">
      <h3>{t(`today.lists.${kind}`)}</h3>
      {list.error !== null && <Failure error={list.error} onRetry={() => void list.refetch()} />}
      {list.isPending && <Loading height={80} />}
      {list.data !== undefined && all.length === 0 && <p className="muted">{t('today.noneListed')}</p>}
      <ul>
        {all.map((campaign) => (
          <Item key={campaign.id} campaign={campaign} />
        ))}
      </ul>
      {list.hasNextPage && (
        <Button size="small" loading={list.isFetchingNextPage} onClick={() => void list.fetchNextPage()}>
          {t('drill.more')}
        </Button>
      )}
    </div>
  );
}

function Item({ campaign }: { campaign: Campaign }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const { scopes } = useBoot();
  const next = campaign.steps.find(({ state }) => state === 'pending' || state === 'leased');
  const isRunning = campaign.status === 'running';
  return (
    <li>
      <div>
        <ContactName
          id={campaign.customer_id}
          reference={campaign.customer_ref}
          name={campaign.customer_name}
        />
        <small>
          {isRunning && next !== undefined
            ? t('today.nextStep', {
                channel: t(`today.channels.${next.channel}`),
                day: formats.instantShortDay(next.due_at),
              })
            : t('today.endedOn', { day: formats.instantShortDay(campaign.ended_at ?? campaign.started_at) })}
        </small>
      </div>
      {isRunning && can(scopes, 'actions:write') && <Stop campaign={campaign} />}
    </li>
  );
}

function Stop({ campaign }: { campaign: Campaign }) {
  const { t } = useTranslation();
  const client = useQueryClient();
  const name = campaign.customer_name ?? String(campaign.customer_id);
  const stop = useMutation({
    mutationFn: () => cancelCampaign(campaign.id),
    onSuccess: () => notify(t('today.stopped', { name })),
    onError: (error) => notify(error.message, { kind: 'bad' }),
    onSettled: () =>
      Promise.all(
        ['campaigns', 'tasks', 'today', 'atRisk'].map((key) => client.invalidateQueries({ queryKey: [key] })),
      ),
  });
  return (
    <Popconfirm
      title={t('today.stopQuestion', { name })}
      description={t('today.stopText')}
      okText={t('today.stop')}
      cancelText={t('contact.cancel')}
      onConfirm={() => stop.mutate()}
    >
      <Button size="small" loading={stop.isPending} aria-label={t('today.stopFor', { name })}>
        {t('today.stop')}
      </Button>
    </Popconfirm>
  );
}
