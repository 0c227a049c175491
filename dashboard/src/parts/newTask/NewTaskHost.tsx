import { lazy, Suspense } from 'react';

import { closeNewTask, useNewTaskTarget } from './newTaskTarget';

// Seldom needed at once.
const NewTaskDialog = lazy(() => import('./NewTaskDialog'));

/** The place of the dialog for a new task: one for every page. */
export function NewTaskHost() {
  const target = useNewTaskTarget();
  if (target === null) return null;
  return (
    <Suspense>
      <NewTaskDialog key={target.customer?.id} target={target} onClose={closeNewTask} />
    </Suspense>
  );
}
