import { Search, X } from 'lucide-react';
import { useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';

import { useShortcut } from '../../parts/shortcuts';

const DELAY_MS = 250;

type Props = { value: string; onChange: (value: string) => void };

/** The search. What is typed stays here whatever happens to the list; the address follows a moment later. */
export function SearchBox({ value, onChange }: Props) {
  const { t } = useTranslation();
  const box = useRef<HTMLInputElement>(null);
  const sent = useRef(value);
  const timer = useRef<number>(undefined);
  useEffect(() => {
    // Another address has been opened; what is being typed is not replaced by what was sent before.
    if (box.current !== null && value !== sent.current) box.current.value = value;
    sent.current = value;
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  useShortcut('/', t('customers.focusSearch'), () => {
    box.current?.focus();
    box.current?.select();
  });
  const send = (text: string, delay: number) => {
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => {
      const words = text.trim();
      if (words === sent.current) return;
      sent.current = words;
      onChange(words);
    }, delay);
  };
  const clear = () => {
    if (box.current !== null) box.current.value = '';
    send('', 0);
    box.current?.focus();
  };
  return (
    <form
      role="search"
      className="find-box"
      onSubmit={(event) => {
        event.preventDefault();
        send(box.current?.value ?? '', 0);
      }}
    >
      <Search size={16} aria-hidden />
      <input
        ref={box}
        type="search"
        aria-label={t('customers.search')}
        placeholder={t('customers.searchHint')}
        defaultValue={value}
        maxLength={255}
        autoComplete="off"
        spellCheck={false}
        dir="auto"
        onChange={(event) => send(event.target.value, DELAY_MS)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return;
          event.preventDefault();
          if (event.currentTarget.value === '') event.currentTarget.blur();
          else clear();
        }}
      />
      {value !== '' && (
        <button
          type="button"
          className="quiet-button"
          aria-label={t('customers.clearSearch')}
          onClick={clear}
        >
          <X size={15} aria-hidden />
        </button>
      )}
    </form>
  );
}
