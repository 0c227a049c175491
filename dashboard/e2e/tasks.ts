/** Tasks of a test's own company, and where the page of the day has them. */
import type { APIRequestContext, Page } from '@playwright/test';

import { expect, idOf } from './company';
import { settled } from './fixtures';

export type Task = {
  id: number;
  version: number;
  status: string;
  due_at: string;
  assignee: string | null;
  outcome: string;
};

/** A Tuesday, 10 in the morning in Berlin: no test depends on when it runs. */
export const NOW = '2026-03-10T09:00:00Z';
/** Requests a call, and sets when it is due. */
export async function addTask(
  api: APIRequestContext,
  name: string,
  title: string,
  dueAt: string,
  assignee: string | null = null,
): Promise<Task> {
  const answer = await api.post(`/api/v1/customers/${idOf(name)}/actions`, {
    data: { type: 'call', title, assignee },
  });
  const { task_id: id } = (await answer.json()) as { task_id: number };
  return change(api, id, { due_at: dueAt });
}

export const read = async (api: APIRequestContext, id: number): Promise<Task> =>
  (await (await api.get(`/api/v1/tasks/${id}`)).json()) as Task;

export async function change(api: APIRequestContext, id: number, data: object): Promise<Task> {
  const { version } = await read(api, id);
  const answer = await api.patch(`/api/v1/tasks/${id}`, { data, headers: { 'If-Match': `"${version}"` } });
  expect(answer.ok(), await answer.text()).toBe(true);
  return (await answer.json()) as Task;
}

export async function openToday(page: Page, search = ''): Promise<void> {
  await page.goto(`/today${search}`);
  await settled(page);
}

export const section = (page: Page, name: string) => page.getByRole('region', { name, exact: true });
export const rowOf = (page: Page, task: Task) => page.locator(`[data-task="${task.id}"]`);
export const more = async (page: Page, title: string, choice: string) => {
  await page.getByRole('button', { name: `More for ${title}` }).click();
  await page.getByRole('menuitem', { name: choice }).click();
};
