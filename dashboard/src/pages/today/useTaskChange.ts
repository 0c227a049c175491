import { useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { staleTaskOf, updateTask, type StaleTask, type TaskUpdate } from '../../api/mutations/tasks';
import type { Task } from '../../api/queries/tasks';
import { useFormats } from '../../format/useFormats';
import { notify } from '../../parts/notices';
import { markDone, UNDO_MS, undoDone } from './pendingDone';

const CHANGED = ['tasks', 'today', 'atRisk', 'people'];

/** Names of credentials begin with their kind: `user:ada`. */
const shortName = (name: string): string => name.slice(name.indexOf(':') + 1);

/** Returns what has changed on a task since it was shown, and by whom where that is known. */
export function useStaleWords(): (stale: StaleTask) => string {
  const { t } = useTranslation();
  const formats = useFormats();
  return ({ changed }) => {
    const words: string[] = [];
    const { status, closed_by: by, assignee, due_at: due } = changed;
    if (status === 'done' || status === 'dismissed' || status === 'closed') {
      const known = typeof by === 'string';
      words.push(known ? t(`today.staleBy.${status}`, { who: shortName(by) }) : t(`today.stale.${status}`));
    }
    if (typeof assignee === 'string') words.push(t('today.stale.assignee', { who: assignee }));
    if (assignee === null) words.push(t('today.stale.unassigned'));
    if (typeof due === 'string') words.push(t('today.stale.due', { day: formats.clock(due) }));
    return words.length === 0 ? t('today.stale.other') : formats.list(words);
  };
}

/** Returns how tasks are changed; the outcome is told at the foot of the page. */
export function useTaskChange() {
  const { t } = useTranslation();
  const client = useQueryClient();
  const staleWords = useStaleWords();
  const reread = () =>
    Promise.all(CHANGED.map((key) => client.invalidateQueries({ queryKey: [key] }))).then(() => undefined);
  const tellFailure = (task: Task, error: unknown) => {
    const stale = staleTaskOf(error);
    const what = stale === null ? (error as Error).message : staleWords(stale);
    notify(t(stale === null ? 'today.failed' : 'today.changed', { title: task.title, what }), {
      kind: 'bad',
      lasts: 12_000,
    });
  };
  return {
    /** Changes a task; false if the service refused. */
    change: async (task: Task, update: TaskUpdate, told: string): Promise<boolean> => {
      try {
        await updateTask(task, update);
        notify(told);
        return true;
      } catch (error) {
        tellFailure(task, error);
        return false;
      } finally {
        await reread();
      }
    },
    finish: (task: Task) => {
      markDone(task, async (error) => {
        if (error !== null) tellFailure(task, error);
        await reread();
      });
      notify(t('today.done', { title: task.title }), { undo: () => undoDone(task.id), lasts: UNDO_MS });
    },
    reread,
  };
}
