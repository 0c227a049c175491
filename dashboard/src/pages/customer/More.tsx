import { Dropdown, type MenuProps } from 'antd';
import { Download, Eraser, Ellipsis, Pin, PinOff, RefreshCw } from 'lucide-react';
import { useTranslation } from 'react-i18next';

import { evaluateCustomer, exportCustomer, unpinCustomer } from '../../api/mutations/customer';
import { can } from '../../api/rights';
import { useCommands, type Command } from '../../parts/commands';
import { notify } from '../../parts/notices';
import { useBoot } from '../../parts/useBoot';
import { useStageLook } from '../../parts/useStages';
import type { DialogName } from './Actions';
import { useOff, useView } from './context';
import { useFaultText } from './Fault';
import { useChange } from './useChange';

type Item = NonNullable<MenuProps['items']>[number];
type Entry = Command & { isOff?: boolean; isDangerous?: boolean };

const itemOf = ({ key, label, icon: Icon, run, isOff = false, isDangerous = false }: Entry): Item => ({
  key,
  label,
  icon: <Icon size={14} aria-hidden />,
  disabled: isOff,
  danger: isDangerous,
  onClick: run,
});

/** What is seldom done: hold, evaluate, export, erase. */
export function More({ onOpen }: { onOpen: (dialog: DialogName) => void }) {
  const { t } = useTranslation();
  const { scopes } = useBoot();
  const { name, journey, isErased } = useView();
  const evaluate = useEvaluate();
  const unpin = useUnpin();
  const save = useExport();
  const isOff = useOff() !== null;
  const isPinned = journey.pin_until !== null;
  const moving: Entry[] = [
    { key: 'evaluate', label: t('customer.evaluate'), icon: RefreshCw, isOff, run: evaluate },
    {
      key: 'pin',
      label: t(isPinned ? 'customer.pinChange' : 'customer.pin'),
      icon: Pin,
      isOff,
      run: () => onOpen('pin'),
    },
    ...(isPinned ? [{ key: 'unpin', label: t('customer.unpin'), icon: PinOff, isOff, run: unpin }] : []),
  ];
  const privacy: Entry[] = [
    { key: 'export', label: t('customer.export'), icon: Download, isOff: isErased, run: save },
    {
      key: 'erase',
      label: t('customer.erase'),
      icon: Eraser,
      isDangerous: true,
      isOff,
      run: () => onOpen('erase'),
    },
  ];
  const groups = [can(scopes, 'journeys:write') ? moving : [], can(scopes, 'privacy') ? privacy : []];
  useCommands(
    name,
    groups.flat().filter((entry) => entry.isOff !== true),
  );
  const items: Item[] = groups.flatMap((entries, index) => [
    ...(index > 0 && entries.length > 0 ? [{ key: 'line', type: 'divider' as const }] : []),
    ...entries.map(itemOf),
  ]);
  if (items.length === 0) return null;
  return (
    // An open menu has the focus, so that the arrow keys act.
    // oxlint-disable-next-line jsx-a11y/no-autofocus
    <Dropdown autoFocus menu={{ items }} trigger={['click']} placement="bottomRight">
      <button type="button" className="icon-button" aria-label={t('customer.more')}>
        <Ellipsis size={16} aria-hidden />
      </button>
    </Dropdown>
  );
}

function useEvaluate(): () => void {
  const { t } = useTranslation();
  const faultText = useFaultText();
  const lookOf = useStageLook();
  const { id } = useView();
  const { mutate } = useChange(
    () => evaluateCustomer(id),
    ({ status, suppressed_to: heldBack, journey }) => {
      const words = {
        moved: () => t('customer.told.evaluatedMoved', { stage: journey.stage_name }),
        stayed: () => t('customer.told.evaluatedStayed'),
        suppressed: () => t('customer.told.evaluatedHeld', { stage: lookOf(heldBack ?? '').name }),
      };
      notify(words[status]());
    },
  );
  return () => mutate(undefined, { onError: (error) => notify(faultText(error), { kind: 'bad' }) });
}

function useUnpin(): () => void {
  const { t } = useTranslation();
  const faultText = useFaultText();
  const { id, journey } = useView();
  const { mutate } = useChange(
    () => unpinCustomer(id, journey.version),
    () => notify(t('customer.told.unpinned')),
  );
  return () => mutate(undefined, { onError: (error) => notify(faultText(error), { kind: 'bad' }) });
}

function useExport(): () => void {
  const { t } = useTranslation();
  const faultText = useFaultText();
  const { id } = useView();
  const { mutate } = useChange(
    () => exportCustomer(id),
    (text) => {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([text], { type: 'application/json' }));
      link.download = `customer-${id}.json`;
      link.click();
      URL.revokeObjectURL(link.href);
      notify(t('customer.told.exported'));
    },
  );
  return () => mutate(undefined, { onError: (error) => notify(faultText(error), { kind: 'bad' }) });
}
