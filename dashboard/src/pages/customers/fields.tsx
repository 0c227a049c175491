import { useEffect, useId, useRef, type ReactNode } from 'react';

type NumberProps = {
  label: string;
  value: number | undefined;
  min?: number;
  max?: number;
  step?: number | 'any';
  onChange: (value: number | undefined) => void;
};

/** A number that is taken when the field is left, or with Enter; an empty field takes the filter off. */
export function NumberField({ label, value, min, max, step = 'any', onChange }: NumberProps) {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const shown = value === undefined ? '' : String(value);
  useEffect(() => {
    if (field.current !== null && field.current.value !== shown) field.current.value = shown;
  }, [shown]);
  const take = () => {
    const input = field.current;
    if (input === null || input.value === shown || !input.reportValidity()) return;
    onChange(input.value === '' ? undefined : input.valueAsNumber);
  };
  return (
    <Labelled id={id} label={label}>
      <input
        ref={field}
        id={id}
        className="plain-field"
        type="number"
        inputMode="decimal"
        min={min}
        max={max}
        step={step}
        defaultValue={shown}
        onBlur={take}
        onKeyDown={(event) => {
          if (event.key === 'Enter') take();
        }}
      />
    </Labelled>
  );
}

type ChoiceProps = {
  label: string;
  value: string;
  options: readonly { value: string; label: string }[];
  onChange: (value: string) => void;
};

export function ChoiceField({ label, value, options, onChange }: ChoiceProps) {
  const id = useId();
  return (
    <Labelled id={id} label={label}>
      <select
        id={id}
        className="plain-field"
        value={value}
        onChange={(event) => onChange(event.target.value)}
      >
        {options.map((option) => (
          <option key={option.value} value={option.value}>
            {option.label}
          </option>
        ))}
      </select>
    </Labelled>
  );
}

function Labelled({ id, label, children }: { id: string; label: string; children: ReactNode }) {
  return (
    <div className="field-group">
      <label htmlFor={id}>{label}</label>
      {children}
    </div>
  );
}
