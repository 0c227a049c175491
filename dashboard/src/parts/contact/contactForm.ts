import type { ContactRequest, ContactType } from '../../api/mutations/actions';

/** What a person types into the form of a contact; all of it text, as fields hold it. */
export type ContactForm = {
  note: string;
  assignee: string;
  dueDays: string;
  title: string;
  description: string;
  code: string;
  validDays: string;
};
export type ContactField = keyof ContactForm;

export const EMPTY_FORM: ContactForm = {
  note: '',
  assignee: '',
  dueDays: '1',
  title: '',
  description: '',
  code: '',
  validDays: '',
};

/** The fields that a kind of contact has, in order. */
export const FIELDS: Record<ContactType, readonly ContactField[]> = {
  call: ['dueDays', 'assignee', 'note'],
  email: ['note'],
  offer: ['title', 'description', 'code', 'validDays', 'note'],
};

/** Limits of the API, so that a field does not take what would be refused. */
export const MAX_LENGTH: Partial<Record<ContactField, number>> = {
  note: 2000,
  assignee: 255,
  title: 255,
  description: 255,
  code: 255,
};
export const NUMBERS: Partial<Record<ContactField, { min: number; max: number }>> = {
  dueDays: { min: 0, max: 365 },
  validDays: { min: 1, max: 365 },
};

/** The field of each pointer that a refused request names. */
export const FIELD_OF_POINTER: Record<string, ContactField> = {
  '/note': 'note',
  '/assignee': 'assignee',
  '/due_days': 'dueDays',
  '/offer/title': 'title',
  '/offer/description': 'description',
  '/offer/code': 'code',
  '/offer/valid_days': 'validDays',
};

const text = (value: string): string | null => (value.trim() === '' ? null : value.trim());
const whole = (value: string): number | null => (value.trim() === '' ? null : Number(value));

/** Returns the request of a form; what is empty is left to the service. */
export function requestOf(type: ContactType, form: ContactForm): ContactRequest {
  const request: ContactRequest = { type };
  if (text(form.note) !== null) request.note = text(form.note);
  if (type === 'call') {
    request.due_days = whole(form.dueDays);
    request.assignee = text(form.assignee);
  }
  if (type === 'offer') {
    const offer = {
      title: text(form.title),
      description: text(form.description),
      code: text(form.code),
      valid_days: whole(form.validDays),
    };
    if (Object.values(offer).some((value) => value !== null)) request.offer = offer;
  }
  return request;
}

/** Returns the form that a request was made from. */
export function formOf(request: ContactRequest): ContactForm {
  const { offer } = request;
  return {
    note: request.note ?? '',
    assignee: request.assignee ?? '',
    dueDays: request.due_days == null ? '' : String(request.due_days),
    title: offer?.title ?? '',
    description: offer?.description ?? '',
    code: offer?.code ?? '',
    validDays: offer?.valid_days == null ? '' : String(offer.valid_days),
  };
}

/** Returns the fields whose number the service would refuse. */
export function wrongNumbers(type: ContactType, form: ContactForm): ContactField[] {
  return FIELDS[type].filter((field) => {
    const limits = NUMBERS[field];
    const value = whole(form[field]);
    if (limits === undefined || value === null) return false;
    return !Number.isInteger(value) || value < limits.min || value > limits.max;
  });
}
