import type { Schemas } from '../../api/client';
import type { ContactType } from '../../api/mutations/actions';
import { createDialogTarget } from '../dialogTarget';

/** Whom to contact, and how. */
export type ContactTarget = {
  customer: { id: number; name: string | null };
  type: ContactType;
  /** The open task of the customer, if one is known. */
  openTask?: Schemas['OpenTask'] | null;
};

const target = createDialogTarget<ContactTarget>();

/** Opens the dialog that asks what to say to a customer. */
export const openContact = target.open;
export const closeContact = target.close;
export const useContactTarget = target.use;
