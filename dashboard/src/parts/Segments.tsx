import { useId } from 'react';

type Props<T extends string> = {
  label: string;
  /** The chosen one; another value chooses none. */
  value: T | undefined;
  options: readonly { value: T; label: string }[];
  onChange: (value: T) => void;
};

/** A choice of one of a few, side by side. Radio buttons of the browser: arrow keys choose. */
export function Segments<T extends string>({ label, value, options, onChange }: Props<T>) {
  const group = useId();
  return (
    <div role="radiogroup" aria-label={label} className="segments">
      {options.map((option) => (
        <label key={option.value} className={option.value === value ? 'chosen' : undefined}>
          <input
            type="radio"
            name={group}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
          />
          <span>{option.label}</span>
        </label>
      ))}
    </div>
  );
}
