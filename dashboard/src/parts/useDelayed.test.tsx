import { act, cleanup, render, screen } from '@testing-library/react';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { useDelayed } from './useDelayed';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  cleanup();
  vi.useRealTimers();
});

function wait(time: number): void {
  act(() => {
    vi.advanceTimersByTime(time);
  });
}

function Shown({ value }: { value: string }) {
  return <p>{useDelayed(value, 250)}</p>;
}

test('a value is taken when it has stayed the same, and those in between are not', () => {
  const { rerender } = render(<Shown value="s" />);
  rerender(<Shown value="sc" />);
  wait(249);
  rerender(<Shown value="sch" />);
  wait(249);
  expect(screen.queryByText('s')).not.toBeNull();
  wait(1);
  expect(screen.queryByText('sch')).not.toBeNull();
});
