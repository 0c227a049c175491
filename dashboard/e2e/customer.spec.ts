import { createCustomer, dayOf, endOf, journeyOf, move, send, shortDay } from './customers';
import { expect, settled, signIn, STUDIO, test } from './fixtures';

/** A customer of the demo who has been away for long. */
const LOST = 297;

test('what moves the customer next, and why each move was made', async ({ salon, watch }) => {
  await salon.goto(`/customers/${LOST}`);
  await settled(salon);
  const next = salon.getByRole('region', { name: /What moves .*Jürgen.* next/ });
  await expect(next.getByText('One completed appointment')).toBeVisible();
  await expect(next.getByText(/Goes straight back to VIP Customer/)).toBeVisible();
  await expect(next.getByText(/more days? without an appointment/)).toBeVisible();
  await expect(next.getByRole('meter')).toHaveCount(1);

  await expect(salon.locator('.customer-head')).toContainText(
    'Reason: Days since the last appointment: 91 (asked: more than 90)',
  );

  const moves = salon.getByRole('list', { name: 'Moves' });
  await expect(moves.getByRole('listitem').first()).toContainText('Churned, unless there is an appointment');
  const lapse = moves.getByRole('listitem').filter({ hasText: 'At Risk from VIP Customer' });
  await expect(lapse).toContainText('Days since the last appointment: 91 (asked: more than 90) · by a rule');
  await lapse.getByRole('button', { name: /Show why/ }).click();
  const why = lapse.getByRole('list', { name: 'Conditions with the values seen' });
  await expect(why.getByRole('listitem')).toHaveCount(3);
  await expect(why.getByRole('listitem').nth(1)).toContainText(
    'At Risk: Days since the last appointment: more than 90',
  );
  await expect(why.getByRole('listitem').nth(1)).toContainText('was 91');
  await expect(why.getByRole('listitem').nth(0).getByRole('img', { name: 'not met' })).toBeVisible();
  expect(watch.api.filter((url) => !url.includes('/stream')).length).toBeLessThanOrEqual(16);
});

test('scores by factor are those of the service, with a line of the last year', async ({ salon, api }) => {
  const answer = await api.get(`/api/v1/customers/${LOST}/scores`);
  const scores = (await answer.json()) as Record<'risk' | 'engagement', { score: number }>;
  await salon.goto(`/customers/${LOST}`);
  await settled(salon);
  const card = salon.getByRole('region', { name: 'Scores' });

  await expect(card.locator('.score.risk .score-value')).toHaveText(scores.risk.score.toFixed(2));
  await expect(card.locator('.score.engagement .score-value')).toHaveText(scores.engagement.score.toFixed(2));
  await expect(
    card.getByRole('meter', { name: /More than 60 days away: 0.30 of at most 0.30/ }),
  ).toBeVisible();
  await expect(card.getByRole('img', { name: /Risk in the last year/ })).toBeVisible();
});

test('the whole page is read as of a past day, and actions are off there', async ({ salon, api }) => {
  const day = dayOf(Date.now() - 180 * 86_400_000);
  const then = await journeyOf(api, LOST, endOf(day));
  expect(then.current_stage).not.toBe('at_risk');
  await salon.goto(`/customers/${LOST}?as_of=${day}&tab=everything`);
  await settled(salon);

  await expect(salon.locator('.as-of-banner')).toContainText(`as of the end of ${shortDay(day)}`);
  await expect(salon.locator('.customer-head .chip')).toHaveText(then.stage_name);
  await expect(salon.getByRole('button', { name: 'Move', exact: true })).toBeDisabled();
  await expect(salon.getByRole('button', { name: /^Call/ })).toHaveCount(0);
  const shown = salon.locator('.line:not(.future) > time');
  const days = await shown.evaluateAll((times) => times.map((time) => time.getAttribute('datetime') ?? ''));
  expect(days.length).toBeGreaterThan(10);
  expect(days.filter((each) => each > endOf(day))).toEqual([]);

  // The reason is that of the last move before the end of that day.
  await expect(salon.locator('.customer-reason')).toHaveText(/^Reason: /);
  await expect(salon.locator('.customer-reason')).not.toContainText('91');
  await salon.getByRole('button', { name: 'Back to now' }).click();
  await expect(salon).toHaveURL(/\/customers\/297\?tab=everything$/);
  await expect(salon.locator('.customer-head .chip')).toHaveText('At Risk');
  await expect(salon.getByRole('button', { name: 'Move', exact: true })).toBeEnabled();
});

test('the slider walks through the days; a day before the journey is told', async ({ salon, watch, api }) => {
  watch.allowed.push(/404/);
  const first = dayOf((await journeyOf(api, LOST)).created_at);
  await salon.goto(`/customers/${LOST}`);
  await settled(salon);
  const slider = salon.getByRole('slider', { name: 'As of' });
  await slider.focus();
  await slider.press('Home');
  await expect(salon).toHaveURL(new RegExp(`as_of=${first}`));
  await expect(salon.locator('.customer-head .chip')).toHaveText('Prospect');

  await salon.goto(`/customers/${LOST}?as_of=2020-01-01`);
  await expect(salon.getByText(`The journey began later, on ${shortDay(first)}.`)).toBeVisible();
});

test('appointments: open bookings come first, then what happened', async ({ salon, api }) => {
  const id = await createCustomer(api, { name: 'Berta Booked' }, [
    { type: 'call_received', daysAgo: 3, data: { call_duration: 95 } },
    { type: 'appointment_completed', daysAgo: 2, data: { total_amount: 40.5 } },
  ]);
  const scheduled = new Date(Date.now() + 5 * 86_400_000).toISOString();
  const data = { booking_id: 'B-77', scheduled_for: scheduled };
  await send(api, id, { type: 'appointment_booked', daysAgo: 0, data });
  await salon.goto(`/customers/${id}?tab=appointments`);
  await settled(salon);

  await expect(salon.getByRole('list', { name: 'Open bookings' })).toContainText('Booking B-77');
  const lines = salon.getByRole('list', { name: 'Appointments and calls' }).getByRole('listitem');
  await expect(lines.nth(1)).toContainText('Appointment completed €40.50');
  await expect(lines.nth(2)).toContainText('Call');
  await expect(lines.nth(2)).toContainText('1 min 35 s');
});

test('names with markup, of another direction, or missing; and customers without events', async ({
  salon,
  api,
}) => {
  const bold = await createCustomer(api, { name: '<b>Bold</b> & "Söhne" 🎉', email: null, phone: null });
  await salon.goto(`/customers/${bold}`);
  await settled(salon);
  await expect(salon.getByRole('heading', { level: 1 })).toHaveText('<b>Bold</b> & "Söhne" 🎉');
  await expect(salon.locator('.customer-contact')).toContainText('no email address');
  await expect(salon.locator('.customer-contact')).toContainText('no phone number');
  await expect(salon.locator('h1 b')).toHaveCount(0);
  await salon.getByText('Appointments and calls').click();
  await expect(salon.getByText('There are no appointments, calls or payments yet.')).toBeVisible();

  const arabic = await createCustomer(api, { name: 'محمد العتيبي' });
  await salon.goto(`/customers/${arabic}`);
  await settled(salon);
  await expect(salon.locator('h1 bdi')).toHaveText('محمد العتيبي');

  const nameless = await createCustomer(api, { name: null });
  await salon.goto(`/customers/${nameless}`);
  await settled(salon);
  await expect(salon.getByRole('heading', { level: 1 })).toHaveText(`Customer ${nameless}`);
});

test('a customer with many moves is read page by page', async ({ salon, api }) => {
  const id = await createCustomer(api, { name: 'Ping Pong' });
  for (let round = 0; round < 27; round += 1) {
    await move(api, id, 'regular');
    await move(api, id, 'vip');
  }
  await salon.goto(`/customers/${id}`);
  await settled(salon);
  const lines = salon.locator('.line.move');
  await expect(lines).toHaveCount(50);
  await salon.getByRole('button', { name: 'Show earlier' }).click();
  await expect(lines).toHaveCount(55);
  await expect(lines.last()).toContainText('Journey started');
  await expect(salon.getByRole('button', { name: 'Show earlier' })).toHaveCount(0);
});

test('an id that does not exist is told', async ({ salon, watch }) => {
  watch.allowed.push(/404/);
  await salon.goto('/customers/999999999');
  await expect(salon.getByText('There is no customer 999999999')).toBeVisible();
  await salon.goto('/customers/nobody');
  await expect(salon.getByText('There is no customer nobody')).toBeVisible();
});

test('yen have no decimals', async ({ page, watch, service }) => {
  expect(watch.problems).toEqual([]);
  await signIn(page.context(), service, STUDIO);
  await page.goto('/customers/266');
  await settled(page);
  await expect(page.locator('.figures dd').first()).toHaveText(/^JP¥[\d,]+$/);
});

test('German: sentences, days and money', async ({ salon }) => {
  await salon.goto(`/customers/${LOST}`);
  await settled(salon);
  await salon.getByRole('button', { name: /Account/ }).click();
  await salon.getByText('Deutsch').click();
  const moves = salon.getByRole('list', { name: 'Wechsel' });
  await expect(moves).toContainText('Tage seit dem letzten Termin: 91 (verlangt: mehr als 90)');
  await expect(salon.locator('.figures').first()).toContainText(/1\.044,30\s€/);
});

test('on a phone nothing scrolls sideways', async ({ salon, api }) => {
  const long = await createCustomer(api, { name: 'Wolfeschlegelsteinhausenbergerdorff'.repeat(2) });
  for (const width of [390, 320]) {
    await salon.setViewportSize({ width, height: 844 });
    for (const path of [`/customers/${LOST}?tab=everything`, `/customers/${long}`]) {
      await salon.goto(path);
      await settled(salon);
      const overflow = await salon.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(overflow, `${path} at ${width}`).toBeLessThanOrEqual(0);
    }
  }
});
