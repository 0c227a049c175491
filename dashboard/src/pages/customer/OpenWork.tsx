import { useTranslation } from 'react-i18next';

import type { Campaign, Task } from '../../api/queries/customer';
import { useFormats } from '../../format/useFormats';
import { useStageLook } from '../../parts/useStages';
import { Card } from './Section';
import { useOpenTasks, useRunningCampaigns } from './useOpenWork';

/** The campaign that runs and the tasks that are open; nothing if there are none. */
export function OpenWork() {
  const { t } = useTranslation();
  const campaigns = useRunningCampaigns();
  const tasks = useOpenTasks();
  if (campaigns.length + tasks.length === 0) return null;
  return (
    <Card title={t('customer.open.title')}>
      <ul className="open-work">
        {campaigns.map((campaign) => (
          <CampaignLine key={campaign.id} campaign={campaign} />
        ))}
        {tasks.map((task) => (
          <TaskLine key={task.id} task={task} />
        ))}
      </ul>
    </Card>
  );
}

function CampaignLine({ campaign }: { campaign: Campaign }) {
  const { t } = useTranslation();
  const formats = useFormats();
  const lookOf = useStageLook();
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
    </li>
  );
}

function TaskLine({ task }: { task: Task }) {
  const { t } = useTranslation();
  const formats = useFormats();
  return (
    <li>
      <b>{task.title}</b>
      <p className="quiet">
        {t('customer.open.due', { day: formats.instantDay(task.due_at) })}
        {' · '}
        {task.assignee === null
          ? t('customer.open.unassigned')
          : t('customer.open.assignedTo', { name: task.assignee })}
      </p>
      {task.note !== null && (
        <p className="said" dir="auto">
          {task.note}
        </p>
      )}
    </li>
  );
}
