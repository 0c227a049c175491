import { cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, expect, test } from 'vitest';

import { renderPart } from '../parts/testing';
import '../words/calibrationPage';
import '../words/customerPage';
import { CalibrationCurve } from './CalibrationCurve';
import { nearestIndex } from './points';
import { ReturnCurve } from './ReturnCurve';

afterEach(cleanup);

const POINTS = [0, 2, 30, 45, 90, 365].map((day) => ({ day, p_return: day / 1000 }));

test('the nearest of the values is found; the first of two that are as near', () => {
  expect([-5, 29, 37.5, 1000].map((wanted) => nearestIndex([0, 30, 45, 90], wanted))).toEqual([0, 1, 1, 3]);
  expect(nearestIndex([], 3)).toBe(-1);
});

test('the curve of a return is read out day by day with the arrow keys', async () => {
  await renderPart(<ReturnCurve points={POINTS} from="2026-11-30" label="Chance of a return" />);
  const slider = screen.getByRole('slider', { name: 'Days from now' });
  expect(slider.getAttribute('aria-valuetext')).toBe('Within 90 days: 9%, until 28 Feb 2027');

  fireEvent.change(slider, { target: { value: '2' } });
  expect(slider.getAttribute('aria-valuetext')).toBe('Within 30 days: 3%, until 30 Dec 2026');
  fireEvent.change(slider, { target: { value: '0' } });
  expect(slider.getAttribute('aria-valuetext')).toBe('Today: 0%, until 30 Nov 2026');
  fireEvent.blur(slider);
  expect(slider.getAttribute('aria-valuetext')).toContain('Within 90 days');
});

test('a curve without points draws nothing', async () => {
  const { container } = await renderPart(<ReturnCurve points={[]} from="2026-11-30" label="Chance" />);
  expect(container.childElementCount).toBe(0);
});

test('the calibration curve is read out group by group, in German too', async () => {
  const bins = [
    { customers: 28, predicted: 0.0871, realised: 0.0357 },
    { customers: 1, predicted: 0.96, realised: 1 },
  ];
  await renderPart(<CalibrationCurve bins={bins} label="Vorhergesagt" />, { language: 'de' });
  const slider = screen.getByRole('slider', { name: 'Gruppe von Kunden' });
  const read = () => slider.getAttribute('aria-valuetext')?.replaceAll('\u00A0', ' ');
  expect(read()).toBe('28 Kunden: vorhergesagt 8,7 %, fortgeblieben 3,6 %');
  fireEvent.change(slider, { target: { value: '1' } });
  expect(read()).toBe('1 Person: vorhergesagt 96 %, fortgeblieben 100 %');
});
