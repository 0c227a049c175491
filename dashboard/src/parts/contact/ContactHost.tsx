import { lazy, Suspense } from 'react';

import { closeContact, useContactTarget } from './contactTarget';

// Seldom needed at once.
const ContactDialog = lazy(() => import('./ContactDialog'));

/** The place of the dialog that contacts a customer: one for every page. */
export function ContactHost() {
  const target = useContactTarget();
  if (target === null) return null;
  return (
    <Suspense>
      <ContactDialog key={`${target.customer.id}.${target.type}`} target={target} onClose={closeContact} />
    </Suspense>
  );
}
