import { lazy, Suspense } from 'react';

import type { Task } from '../../api/queries/tasks';
import type { Today } from '../../api/queries/today';

export type AskKind = 'assign' | 'snooze' | 'dismiss' | 'call';
export type Ask = { task: Task; kind: AskKind };
export type AskProps = { ask: Ask; today: Today; onClose: () => void };

// Opened for one task at a time.
const TaskDialog = lazy(() => import('./TaskDialog'));

/** Asks for what a change of a task needs. */
export function TaskAsk(props: AskProps) {
  const { task, kind } = props.ask;
  return (
    <Suspense>
      <TaskDialog key={`${task.id}.${kind}`} {...props} />
    </Suspense>
  );
}
