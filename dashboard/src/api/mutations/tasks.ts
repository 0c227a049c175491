import { api, dataOf, type Schemas } from '../client';
import { ProblemError } from '../problems';
import type { Task } from '../queries/tasks';
import { sendOnce } from '../unanswered';

export type TaskCreate = Omit<Schemas['TaskCreate'], 'customer_id'> & { customer_id: number | null };
export type TaskUpdate = Schemas['TaskUpdate'];
export type StaleTask = Pick<Schemas['StaleTaskProblem'], 'changed' | 'current_version'>;

/** What a new task is kept as until it is answered. */
export const taskPurpose = (companyId: number, customerId: number | null): string =>
  `task.${companyId}.${customerId ?? 'none'}`;

/** Creates a task, once even if it is sent again. */
export function createTask(companyId: number, body: TaskCreate): Promise<Task> {
  return sendOnce(taskPurpose(companyId, body.customer_id), body, (key) =>
    dataOf(api.POST('/api/v1/tasks', { params: { header: { 'Idempotency-Key': key } }, body })),
  );
}

/** Changes a task of the version that is shown. */
export function updateTask(task: Pick<Task, 'id' | 'version'>, body: TaskUpdate): Promise<Task> {
  return dataOf(
    api.PATCH('/api/v1/tasks/{task_id}', {
      params: { path: { task_id: task.id }, header: { 'If-Match': `"${task.version}"` } },
      body,
    }),
  );
}

/** Changes a task while the page goes away: the request begins at once, and outlives the page. */
export function updateTaskAtLast({ id, version }: Pick<Task, 'id' | 'version'>, body: TaskUpdate): void {
  void fetch(`/api/v1/tasks/${id}`, {
    method: 'PATCH',
    headers: { 'Content-Type': 'application/json', 'If-Match': `"${version}"` },
    body: JSON.stringify(body),
    keepalive: true,
  });
}

/** Returns what has changed since the version that a refused change is based on; null if that is not why. */
export function staleTaskOf(error: unknown): StaleTask | null {
  if (!(error instanceof ProblemError) || error.status !== 412) return null;
  return error.problem as unknown as StaleTask;
}
