/** React as the guide's components see it: what they start with is loaded already. */
import * as React from 'react';

export * from 'react';
export { default } from 'react';

export const loaded = { object: null, list: [] };

export function useState(initial) {
  const list = Array.isArray(initial) ? loaded.list : initial;
  return React.useState(initial === null ? loaded.object : list);
}
