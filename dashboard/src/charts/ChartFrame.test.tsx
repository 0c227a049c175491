import type { UseQueryResult } from '@tanstack/react-query';
import { cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, expect, test, vi } from 'vitest';

import { ProblemError } from '../api/problems';
import { renderPart } from '../parts/testing';
import { ChartFrame } from './ChartFrame';

afterEach(cleanup);

const result = (values: Partial<UseQueryResult<string>>) =>
  ({
    data: undefined,
    error: null,
    refetch: vi.fn<() => void>(),
    ...values,
  }) as unknown as UseQueryResult<string>;

const frame = (values: Partial<UseQueryResult<string>>) => (
  <ChartFrame
    title="Risk"
    note="By score"
    height={100}
    csv="/risk.csv"
    result={result(values)}
    table={(data) => <p>{`table of ${data}`}</p>}
  >
    {(data) => <p>{`chart of ${data}`}</p>}
  </ChartFrame>
);

test('a chart has a title, a note, its CSV, and a table of the same numbers', async () => {
  await renderPart(frame({ data: 'five' }));

  expect(screen.getByRole('region', { name: 'Risk' }).textContent).toContain('By score');
  expect(screen.getByRole('link', { name: 'CSV: Risk' }).getAttribute('href')).toBe('/risk.csv');
  expect(screen.getByText('chart of five')).toBeDefined();
  fireEvent.click(screen.getByRole('button', { name: 'Table: Risk' }));
  expect(screen.getByText('table of five')).toBeDefined();
  fireEvent.click(screen.getByRole('button', { name: 'Chart: Risk' }));
  expect(screen.getByText('chart of five')).toBeDefined();
});

test('while nothing has arrived there is an outline, and after a failure the reason', async () => {
  const { container } = await renderPart(frame({}));
  expect(container.querySelector('[aria-busy]')).not.toBeNull();
  cleanup();

  await renderPart(frame({ error: new ProblemError(503, { detail: 'Busy.' }, 'id', 2) }));
  expect(screen.getByRole('alert').textContent).toContain('Busy.');
});

test('the last numbers stay when reading them again fails', async () => {
  await renderPart(frame({ data: 'five', error: new TypeError('network') }));

  expect(screen.getByText('chart of five')).toBeDefined();
  expect(screen.getByRole('alert')).toBeDefined();
});
