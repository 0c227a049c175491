import { useTranslation } from 'react-i18next';

import type { Schemas } from '../../api/client';
import { ProblemError } from '../../api/problems';

type Fault = Schemas['FieldError'];
export type FoundFaults<Field extends string> = {
  /** What is wrong, by field. */
  fields: Partial<Record<Field, string>>;
  /** What is wrong elsewhere; null if every fault has its field. */
  rest: string | null;
};

/** Returns how faults of a refused request are put into words, each at its field. */
export function useFaults<Field extends string>(fieldOf: Record<string, Field>) {
  const { t } = useTranslation();
  const words = ({ code, detail, params }: Fault): string => {
    const max = Number(params.max_length ?? params.max_items ?? params.max);
    const min = Number(params.min_length ?? params.min_items ?? params.min);
    if (code === 'too_long' && !Number.isNaN(max)) return t('faults.tooLong', { max });
    if (code === 'too_large' && !Number.isNaN(max)) return t('faults.tooLarge', { max });
    if (code === 'too_small' && !Number.isNaN(min)) return t('faults.tooSmall', { min });
    if (code === 'missing' || code === 'too_short') return t('faults.missing');
    return detail;
  };
  return (error: unknown): FoundFaults<Field> => {
    if (!(error instanceof ProblemError)) return { fields: {}, rest: null };
    const errors = error.problem.errors ?? [];
    const fields: Partial<Record<Field, string>> = {};
    const rest: string[] = [];
    for (const fault of errors) {
      const field = fieldOf[fault.pointer];
      if (field === undefined) rest.push(`${fault.pointer}: ${fault.detail}`);
      else fields[field] = words(fault);
    }
    if (errors.length === 0) rest.push(error.message);
    return { fields, rest: rest.length === 0 ? null : rest.join(' ') };
  };
}
