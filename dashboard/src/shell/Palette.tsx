import { useRouter } from '@tanstack/react-router';
import { Search } from 'lucide-react';
import { useId, useState, type KeyboardEvent } from 'react';
import { useTranslation } from 'react-i18next';

import { Dialog } from '../parts/Dialog';
import { GROUPS, stepped, type PaletteItem } from './paletteItems';
import { usePaletteItems } from './usePaletteItems';
import type { Overlay } from './useShellKeys';

type Props = { onClose: () => void; onShow: (overlay: Overlay) => void };

/** Finds customers, pages and commands by the keyboard: a field, and the list that it chooses from. */
export function Palette({ onClose, onShow }: Props) {
  const { t } = useTranslation();
  const router = useRouter();
  const id = useId();
  const [typed, setTyped] = useState('');
  const [index, setIndex] = useState(0);
  const words = typed.trim();
  const { items, isSearching, isFailed } = usePaletteItems(words, onShow);
  const chosen = items[Math.min(index, items.length - 1)];
  // The entry for all that match is a way to more, not one of the results.
  const count = items.filter((item) => item.key !== 'all').length;
  const optionId = (item: PaletteItem) => `${id}-${item.key.replaceAll(' ', '-')}`;
  const open = (item: PaletteItem) => {
    onClose();
    if (typeof item.open === 'string') void router.navigate({ href: item.open });
    else item.open();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) setIndex(stepped(Math.min(index, items.length - 1), step, items.length));
    else if (event.key === 'Enter' && chosen !== undefined) open(chosen);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title={t('palette.title')} isTitleHidden className="palette" onClose={onClose}>
      <div className="palette-field">
        <Search size={17} aria-hidden />
        <input
          // The dialog is opened to type here.
          // oxlint-disable-next-line jsx-a11y/no-autofocus
          autoFocus
          role="combobox"
          aria-expanded={items.length > 0}
          aria-controls={`${id}-list`}
          aria-autocomplete="list"
          aria-activedescendant={chosen === undefined ? undefined : optionId(chosen)}
          aria-label={t('palette.open')}
          placeholder={t('palette.open')}
          value={typed}
          maxLength={255}
          autoComplete="off"
          spellCheck={false}
          dir="auto"
          onChange={(event) => {
            setTyped(event.target.value);
            setIndex(0);
          }}
          onKeyDown={onKeyDown}
        />
      </div>
      <Options id={`${id}-list`} items={items} chosen={chosen} optionId={optionId} onOpen={open} />
      <p className="palette-note" role="status">
        {isFailed
          ? t('palette.failed')
          : isSearching
            ? t('palette.searching')
            : items.length === 0
              ? t('palette.none', { words })
              : words === ''
                ? t('palette.hint')
                : t(count < items.length ? 'palette.foundFirst' : 'palette.found', { count })}
      </p>
    </Dialog>
  );
}

/** Returns nothing: a browser may answer with a promise, which React would take for the end of an effect. */
function show(option: HTMLElement | null): void {
  option?.scrollIntoView({ block: 'nearest' });
}

type OptionsProps = {
  id: string;
  items: readonly PaletteItem[];
  chosen: PaletteItem | undefined;
  optionId: (item: PaletteItem) => string;
  onOpen: (item: PaletteItem) => void;
};

function Options({ id, items, chosen, optionId, onOpen }: OptionsProps) {
  const { t } = useTranslation();
  const groups = GROUPS.map((group) => ({
    group,
    members: items.filter((item) => item.group === group),
  }));
  return (
    <div id={id} role="listbox" aria-label={t('palette.title')} className="palette-list">
      {groups.map(({ group, members }) =>
        members.length === 0 ? null : (
          <div key={group} role="group" aria-label={t(`palette.${group}`)}>
            <div className="palette-group" aria-hidden>
              {t(`palette.${group}`)}
            </div>
            {members.map((item) => (
              // The keyboard is with the field, which names the chosen option.
              // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/interactive-supports-focus
              <div
                key={item.key}
                id={optionId(item)}
                ref={item === chosen ? show : null}
                role="option"
                aria-selected={item === chosen}
                className="palette-option"
                onClick={() => onOpen(item)}
              >
                <item.icon size={16} aria-hidden />
                <span className="palette-name">
                  <bdi>{item.name}</bdi>
                  {item.detail !== undefined && (
                    <small>
                      <bdi>{item.detail}</bdi>
                    </small>
                  )}
                </span>
              </div>
            ))}
          </div>
        ),
      )}
    </div>
  );
}
