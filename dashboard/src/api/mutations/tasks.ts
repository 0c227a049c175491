import { api, dataOf, type Schemas } from '../client';
import { ProblemError } from '../problems';
import type { Task } from '../queries/tasks';

export type TaskUpdate = Schemas['TaskUpdate'];
export type StaleTask = Pick<Schemas['StaleTaskProblem'], 'changed' | 'current_version'>;

/** Changes a task of the version that is shown. `isLast`: the page goes away, and the request outlives it. */
export function updateTask(
  task: Pick<Task, 'id' | 'version'>,
  body: TaskUpdate,
  { isLast = false }: { isLast?: boolean } = {},
): Promise<Task> {
  return dataOf(
    api.PATCH('/api/v1/tasks/{task_id}', {
      params: { path: { task_id: task.id }, header: { 'If-Match': `"${task.version}"` } },
      body,
      keepalive: isLast,
    }),
  );
}

/** Returns what has changed since the version that a refused change is based on; null if that is not why. */
export function staleTaskOf(error: unknown): StaleTask | null {
  if (!(error instanceof ProblemError) || error.status !== 412) return null;
  return error.problem as unknown as StaleTask;
}
