import { cleanup, fireEvent, screen } from '@testing-library/react';
import { afterEach, expect, test } from 'vitest';

import { renderPart } from '../testing';
import { BootContext, type Boot } from '../useBoot';
import { ContactActions } from './ContactActions';
import { closeContact, useContactTarget } from './contactTarget';

afterEach(() => {
  cleanup();
  closeContact();
});

const boot = (scopes: string[]) => ({ scopes, company: { id: 1 } }) as unknown as Boot;
const bjoern = { id: 7, name: 'Björn' };

function Opened() {
  const target = useContactTarget();
  return <output>{target === null ? 'none' : `${target.type} ${target.customer.id}`}</output>;
}

test('the recommended action is the primary button, and opens its dialog', async () => {
  await renderPart(
    <BootContext value={boot(['actions:write'])}>
      <ContactActions customer={bjoern} primary="call" />
      <Opened />
    </BootContext>,
  );
  const call = screen.getByRole('button', { name: 'Call Björn' });
  expect(call.className).toContain('primary');
  expect(screen.getByRole('button', { name: 'Email Björn' }).className).not.toContain('primary');
  fireEvent.click(call);

  expect(screen.getByText('call 7')).toBeDefined();
});

test('a button that cannot reach the customer can be focused, says why, and does nothing', async () => {
  await renderPart(
    <BootContext value={boot(['*'])}>
      <ContactActions customer={bjoern} reach={{ email: 'no_address', offer: 'no_consent' }} />
      <Opened />
    </BootContext>,
  );
  const email = screen.getByRole('button', { name: 'Email Björn', description: 'No email address is known' });
  expect(email.getAttribute('aria-disabled')).toBe('true');
  expect(email.hasAttribute('disabled')).toBe(false);
  email.focus();
  expect(document.activeElement).toBe(email);
  fireEvent.click(email);

  expect(screen.getByText('none')).toBeDefined();
  expect(
    screen.getByRole('button', { name: 'Offer to Björn', description: 'Has not agreed to offers by email' }),
  ).toBeDefined();
});

test('a person who may not request actions sees no buttons', async () => {
  await renderPart(
    <BootContext value={boot(['customers:read'])}>
      <ContactActions customer={bjoern} />
    </BootContext>,
  );
  expect(screen.queryByRole('button')).toBeNull();
});
