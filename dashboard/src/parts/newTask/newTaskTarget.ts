import { createDialogTarget } from '../dialogTarget';

/** Whom a new task concerns; without a customer it concerns none. */
export type NewTaskTarget = { customer: { id: number; name: string | null } | null };

const target = createDialogTarget<NewTaskTarget>();

/** Opens the dialog that asks what is to be done. */
export const openNewTask = target.open;
export const closeNewTask = target.close;
export const useNewTaskTarget = target.use;
