import type { TaskCreate } from '../../api/mutations/tasks';
import { addDays, localDay } from '../../format/formats';
import { localInstant, localTime } from '../../format/instants';

/** What a person types into the form of a new task. The day is null while none is chosen. */
export type NewTaskForm = { title: string; day: string | null; time: string; assignee: string; note: string };

/** Limits of the API, so that a field does not take what would be refused. */
export const MAX_LENGTH = { title: 255, assignee: 255, note: 2000 };

export const FIELD_OF_POINTER: Record<string, keyof NewTaskForm> = {
  '/title': 'title',
  '/due_at': 'day',
  '/assignee': 'assignee',
  '/note': 'note',
};

const HOUR_MS = 3_600_000;

/** Hours of the day between which a new task is due if nobody says otherwise. */
const DAY_BEGINS = 9;
const DAY_ENDS = 18;

/** Returns an empty form. It is due at the first full hour of a working day at least one hour from now. */
export function emptyForm(now: Date, timezone: string): NewTaskForm {
  const soon = new Date(Math.ceil((now.getTime() + HOUR_MS) / HOUR_MS) * HOUR_MS).toISOString();
  const { day, time } = placeOf(soon, timezone);
  const hour = Number(time.slice(0, 2));
  const morning = `${String(DAY_BEGINS).padStart(2, '0')}:00`;
  const due =
    hour < DAY_BEGINS
      ? { day, time: morning }
      : hour < DAY_ENDS
        ? { day, time }
        : { day: addDays(day, 1), time: morning };
  return { title: '', ...due, assignee: '', note: '' };
}

/** Returns the form that a request was made from. */
export function formOf(request: TaskCreate, timezone: string): NewTaskForm {
  const { title, due_at: due, assignee, note } = request;
  return { title, ...placeOf(due, timezone), assignee: assignee ?? '', note: note ?? '' };
}

/** Returns when a task of the form is due; null as long as the day or the time is missing. */
export function dueOf({ day, time }: NewTaskForm, timezone: string): string | null {
  return day === null || time === '' ? null : localInstant(day, time, timezone);
}

/** Returns the request of a form; null as long as something is missing. */
export function requestOf(form: NewTaskForm, customerId: number | null, timezone: string): TaskCreate | null {
  const due = dueOf(form, timezone);
  const title = form.title.trim();
  if (due === null || title === '') return null;
  return {
    title,
    customer_id: customerId,
    due_at: due,
    assignee: form.assignee.trim() || null,
    note: form.note.trim() || null,
  };
}

const placeOf = (instant: string, timezone: string) => ({
  day: localDay(instant, timezone),
  time: localTime(instant, timezone),
});
