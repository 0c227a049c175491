import { cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, expect, test, vi } from 'vitest';

import { ProblemError } from '../api/problems';
import { Failure } from './Failure';
import { renderPart } from './testing';

afterEach(cleanup);

const problem = (status: number, detail: string) => new ProblemError(status, { detail }, 'abc123', null);

test('a problem shows its detail, its request id to copy, and another try', async () => {
  const writeText = vi.spyOn(navigator.clipboard, 'writeText').mockResolvedValue();
  const onRetry = vi.fn<() => void>();
  await renderPart(<Failure error={problem(422, 'query/from must be a day')} onRetry={onRetry} />);

  expect(screen.getByRole('alert').textContent).toContain('query/from must be a day');
  fireEvent.click(screen.getByRole('button', { name: 'Copy' }));
  expect(writeText).toHaveBeenCalledWith('abc123');
  expect(await screen.findByRole('button', { name: 'Copied' })).toBeDefined();
  fireEvent.click(screen.getByRole('button', { name: 'Try again' }));
  expect(onRetry).toHaveBeenCalledOnce();
});

test('a missing right is named, with the roles that have it, in each language', async () => {
  const error = problem(403, "The credential lacks the scope 'analytics:read'.");
  await renderPart(<Failure error={error} />);
  expect(screen.getByRole('alert').textContent).toContain(
    'analytics:read, which these roles have: Manager and Admin',
  );
  cleanup();

  await renderPart(<Failure error={error} />, { language: 'de' });
  expect(screen.getByRole('alert').textContent).toContain('Leitung und Verwaltung');
});

test('a service that does not answer is no problem with a request id', async () => {
  await renderPart(<Failure error={new TypeError('Failed to fetch')} />);

  expect(screen.getByRole('alert').textContent).toContain('does not answer');
  expect(screen.queryByRole('button')).toBeNull();
});
