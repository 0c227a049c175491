import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { chooseTaste, useTaste } from '../look/taste';
import { Dialog } from '../parts/Dialog';
import { useShortcuts, type ShortcutGroup } from '../parts/shortcuts';

const GROUPS: readonly ShortcutGroup[] = ['go', 'page', 'list'];
const SIGNS: Record<string, string> = { Escape: 'Esc', 'Mod+k': 'Ctrl K' };

/** Every key that acts on the page beneath, and the switch for those without Ctrl. */
export default function ShortcutHelp({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const { hasLetterKeys } = useTaste();
  const all = useShortcuts();
  // The keys of the page that was open before the dialog.
  const [shortcuts] = useState(all);
  return (
    <Dialog title={t('keys.title')} onClose={onClose}>
      <div className="keys">
        {GROUPS.map((group) => {
          const members = shortcuts.filter((each) => each.group === group);
          if (members.length === 0) return null;
          return (
            <section key={group}>
              <h3>{t(`keys.${group}`)}</h3>
              <dl>
                {members.map(({ keys, label }) => (
                  <Line key={keys} keys={keys} label={label} />
                ))}
                {group === 'list' && <Line keys="Enter" label={t('keys.open')} />}
              </dl>
            </section>
          );
        })}
      </div>
      <label className="keys-switch">
        <input
          type="checkbox"
          checked={hasLetterKeys}
          onChange={(event) => chooseTaste({ hasLetterKeys: event.target.checked })}
        />
        <span>{t('keys.letters')}</span>
      </label>
      <p className="note">{t('keys.lettersHint')}</p>
    </Dialog>
  );
}

function Line({ keys, label }: { keys: string; label: string }) {
  const { t } = useTranslation();
  const [first = '', second] = keys.split(' ');
  return (
    <>
      <dt>{label}</dt>
      <dd>
        <kbd>{SIGNS[first] ?? first}</kbd>
        {second !== undefined && (
          <>
            {' '}
            {t('keys.sequence')} <kbd>{second}</kbd>
          </>
        )}
      </dd>
    </>
  );
}
