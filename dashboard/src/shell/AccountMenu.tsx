import { Dropdown } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { useBoot } from '../parts/useBoot';
import { AccountButton, shortName } from './AccountButton';
import { useAccountCommands } from './useAccountCommands';
import type { Overlay } from './useShellKeys';

/** The menu of the person, open at once: menus are loaded when the button is first pressed. */
export default function AccountMenu({ onShow }: { onShow: (overlay: Overlay) => void }) {
  const { t } = useTranslation();
  const { name, role } = useBoot();
  const [isOpen, setOpen] = useState(true);
  const commands = useAccountCommands(onShow).map(({ key, icon: Icon, label, run }) => ({
    key,
    label,
    icon: <Icon size={14} aria-hidden />,
    onClick: run,
  }));
  const items = [
    { key: 'who', type: 'group' as const, label: `${shortName(name)} · ${t(`roles.${role}`)}` },
    ...commands.slice(0, -1),
    { key: 'line', type: 'divider' as const },
    ...commands.slice(-1),
  ];
  return (
    <Dropdown
      // An open menu has the focus, so that the arrow keys act.
      // oxlint-disable-next-line jsx-a11y/no-autofocus
      autoFocus
      open={isOpen}
      onOpenChange={setOpen}
      menu={{ items, onClick: () => setOpen(false) }}
      trigger={['click']}
      placement="bottomRight"
    >
      <AccountButton />
    </Dropdown>
  );
}
