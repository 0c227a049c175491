import { isField, type Field } from './kinds';

export const OPERATORS = ['>=', '<=', '==', '!=', '>', '<'] as const;
export type Operator = (typeof OPERATORS)[number];
export type Bound = { operator: Operator; number: number };
/** A condition of an event: which of its fields is compared, and with what. */
export type FieldBound = Bound & { field: Field };

const BOUND = /^(>=|<=|==|!=|>|<)\s*(-?\d+(?:\.\d+)?)$/;
const FIELD = /^([a-z_]+)(.*)$/;

/** Reads an operator and a number, such as `>=3`; null for anything else. */
export function readBound(text: string | null): Bound | null {
  const match = BOUND.exec(text ?? '');
  if (match === null) return null;
  return { operator: match[1] as Operator, number: Number(match[2]) };
}

/** Reads the conditions of an event, such as `call_duration>60 and total_amount>=100`. */
export function readEventBounds(text: string | null): FieldBound[] {
  return (text ?? '').split(' and ').flatMap((part) => {
    const [, field = '', rest = ''] = FIELD.exec(part) ?? [];
    const bound = readBound(rest);
    return bound === null || !isField(field) ? [] : [{ ...bound, field }];
  });
}

const TESTS: Record<Operator, (value: number, number: number) => boolean> = {
  '>': (value, number) => value > number,
  '>=': (value, number) => value >= number,
  '<': (value, number) => value < number,
  '<=': (value, number) => value <= number,
  '==': (value, number) => value === number,
  '!=': (value, number) => value !== number,
};

/** Returns whether a number meets a condition. */
export const meets = ({ operator, number }: Bound, value: number): boolean => TESTS[operator](value, number);
