import { Button, Popconfirm } from 'antd';
import { ListPlus, Plus } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { cancelCampaign } from '../../api/mutations/customer';
import type { Campaign } from '../../api/queries/customer';
import { can } from '../../api/rights';
import { useFormats } from '../../format/useFormats';
import { useCommands } from '../../parts/commands';
import { openNewTask } from '../../parts/newTask/newTaskTarget';
import { notify } from '../../parts/notices';
import { useShortcut } from '../../parts/shortcuts';
import { useBoot } from '../../parts/useBoot';
import { useStageLook } from '../../parts/useStages';
import { useOff, useView } from './context';
import { Fault } from './Fault';
import { Card } from './Section';
import { TaskLine } from './TaskLine';
import { useChange } from './useChange';
import { useOpenTasks, useRunningCampaigns } from './useOpenWork';

/** The campaign that runs, the tasks that are open, and the way to a new task; nothing if there is none of them. */
export function OpenWork() {
  const { t } = useTranslation();
  const campaigns = useRunningCampaigns();
  const tasks = useOpenTasks();
  const add = useNewTask();
  const isNothing = campaigns.length + tasks.length === 0;
  if (isNothing && add === null) return null;
  const button = add !== null && (
    <button type="button" className="quiet-button" onClick={add}>
      <Plus size={14} aria-hidden />
      {t('newTask.button')}
    </button>
  );
  return (
    <Card title={t('customer.open.title')} extra={button}>
      {isNothing ? (
        <p className="quiet">{t('customer.open.nothing')}</p>
      ) : (
        <ul className="open-work">
          {campaigns.map((campaign) => (
            <CampaignLine key={campaign.id} campaign={campaign} />
          ))}
          {tasks.map((task) => (
            <TaskLine key={task.id} task={task} />
          ))}
        </ul>
      )}
    </Card>
  );
}

/** Returns how a task about the customer is created: by a button, a key and a command; null if it cannot be now. */
function useNewTask(): (() => void) | null {
  const { t } = useTranslation();
  const { id, customer, name } = useView();
  const { scopes } = useBoot();
  const isOn = useOff() === null && can(scopes, 'actions:write');
  const label = t('newTask.button');
  const run = () => openNewTask({ customer: { id, name: customer.name } });
  useShortcut('n', label, run, { isOn });
  useCommands(name, isOn ? [{ key: 'task', label, icon: ListPlus, run }] : []);
  return isOn ? run : null;
}

function CampaignLine({ campaign }: { campaign: Campaign }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
  const { scopes } = useBoot();
  const off = useOff();
  const cancel = useChange(
    () => cancelCampaign(campaign.id),
    () => notify(t('customer.told.campaign')),
  );
  const done = campaign.steps.filter((step) => step.state === 'done').length;
  const next = campaign.steps.find((step) => step.state === 'pending' || step.state === 'leased');
  return (
    <li>
      <b>{t('customer.open.campaign', { stage: lookOf(campaign.type).name })}</b>
      <p className="quiet">
        {t('customer.open.campaignSteps', { done, all: campaign.steps.length })}
        {' · '}
        {t('customer.open.campaignSince', { day: formats.instantDay(campaign.started_at) })}
      </p>
      {next !== undefined && (
        <p className="quiet">
          {t('customer.open.step', {
            channel: t(`customer.channel.${next.channel}`),
            day: formats.instantDay(next.due_at),
            state: t(`customer.state.${next.state}`),
          })}
        </p>
      )}
      {can(scopes, 'actions:write') && (
        <Popconfirm
          title={t('customer.open.cancelAsk')}
          okText={t('customer.open.cancelCampaign')}
          cancelText={t('customer.dialog.close')}
          onConfirm={() => cancel.mutate(undefined)}
        >
          <Button size="small" disabled={off !== null} loading={cancel.isPending} className="open-button">
            {t('customer.open.cancelCampaign')}
          </Button>
        </Popconfirm>
      )}
      <Fault error={cancel.error} />
    </li>
  );
}
