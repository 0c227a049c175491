import { useTranslation } from 'react-i18next';

import type { ContactType } from '../../api/mutations/actions';
import { isAnswer } from '../../api/unanswered';
import { NUMBERS, wrongNumbers, type ContactField, type ContactForm } from './contactForm';
import { useFaults } from './useFaults';

/** Returns what is wrong with a form: by the limits of the fields, and by the answer of the service. */
export function useFormFaults(
  type: ContactType,
  form: ContactForm,
  error: unknown,
  fieldOf: Record<string, ContactField>,
) {
  const { t } = useTranslation();
  const faultsOf = useFaults(fieldOf);
  const wrong = wrongNumbers(type, form);
  const answered = isAnswer(error) ? faultsOf(error) : { fields: {}, rest: null };
  const ranges = wrong.map((field) => [field, t('faults.range', NUMBERS[field] ?? { min: 0, max: 0 })]);
  return {
    isWrong: wrong.length > 0,
    fields: { ...answered.fields, ...Object.fromEntries(ranges) } as Partial<Record<ContactField, string>>,
    rest: answered.rest,
  };
}
