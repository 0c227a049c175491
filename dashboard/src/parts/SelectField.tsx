type Props = {
  label: string;
  value: string;
  options: readonly { value: string; label: string }[];
  onChange: (value: string) => void;
};

/** A choice of one. The browser's own list: it is small, and good on phones. */
export function SelectField({ label, value, options, onChange }: Props) {
  return (
    <select
      className={value === '' ? 'select' : 'select chosen'}
      aria-label={label}
      value={value}
      onChange={(event) => onChange(event.target.value)}
    >
      {options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.label}
        </option>
      ))}
    </select>
  );
}
