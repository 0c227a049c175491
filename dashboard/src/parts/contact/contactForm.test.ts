import { expect, test } from 'vitest';

import { EMPTY_FORM, formOf, requestOf, wrongNumbers } from './contactForm';

test('a form becomes the request of its kind, without what is empty', () => {
  const form = { ...EMPTY_FORM, note: ' Hello ', assignee: 'Mara', title: 'Colour', validDays: '14' };

  expect(requestOf('call', form)).toEqual({ type: 'call', note: 'Hello', due_days: 1, assignee: 'Mara' });
  expect(requestOf('email', form)).toEqual({ type: 'email', note: 'Hello' });
  expect(requestOf('offer', form)).toEqual({
    type: 'offer',
    note: 'Hello',
    offer: { title: 'Colour', description: null, code: null, valid_days: 14 },
  });
  expect(requestOf('offer', EMPTY_FORM)).toEqual({ type: 'offer' });
});

test('a request becomes the form again', () => {
  const form = { ...EMPTY_FORM, note: 'Hello', title: 'Colour', code: 'X1', validDays: '14', dueDays: '' };

  expect(formOf(requestOf('offer', form))).toEqual(form);
});

test('numbers outside of the limits of the service are named', () => {
  expect(wrongNumbers('call', { ...EMPTY_FORM, dueDays: '366' })).toEqual(['dueDays']);
  expect(wrongNumbers('offer', { ...EMPTY_FORM, validDays: '0' })).toEqual(['validDays']);
  expect(wrongNumbers('offer', { ...EMPTY_FORM, validDays: '1.5', dueDays: 'x' })).toEqual(['validDays']);
  expect(wrongNumbers('call', { ...EMPTY_FORM, dueDays: '0' })).toEqual([]);
});
