import { Link } from '@tanstack/react-router';
import { Button } from 'antd';
import { Bookmark, Pencil, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { Dialog } from '../../parts/Dialog';
import { useBoot } from '../../parts/useBoot';
import type { CustomersSearch } from './search';
import { NameForm } from './NameForm';
import { deleteView, keptOf, renameView, saveView, useViews, type View } from './views';

type Props = { search: CustomersSearch };

/** Filters under a name: open, save, rename, delete. */
export function Views({ search }: Props) {
  const { t } = useTranslation();
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <Button icon={<Bookmark size={15} aria-hidden />} onClick={() => setOpen(true)}>
        {t('customers.views')}
      </Button>
      {isOpen && <ViewsDialog search={search} onClose={() => setOpen(false)} />}
    </>
  );
}

function ViewsDialog({ search, onClose }: Props & { onClose: () => void }) {
  const { t } = useTranslation();
  const { company } = useBoot();
  const views = useViews(company.id);
  const canSave = Object.keys(keptOf(search)).length > 0;
  return (
    <Dialog title={t('customers.viewsTitle')} onClose={onClose}>
      {views.length === 0 && <p className="note">{t('customers.viewsEmpty')}</p>}
      {views.length > 0 && (
        <ul className="views">
          {views.map((view) => (
            <ViewLine key={view.name} view={view} company={company.id} onOpen={onClose} />
          ))}
        </ul>
      )}
      {canSave && (
        <NameForm label={t('customers.viewNew')} onSave={(name) => saveView(company.id, name, search)} />
      )}
      <p className="note">{t('customers.viewsNote')}</p>
    </Dialog>
  );
}

type LineProps = { view: View; company: number; onOpen: () => void };

function ViewLine({ view, company, onOpen }: LineProps) {
  const { t } = useTranslation();
  const [isNaming, setNaming] = useState(false);
  const { name } = view;
  if (isNaming) {
    return (
      <li>
        <NameForm
          label={t('customers.viewName')}
          name={name}
          onSave={(next) => {
            renameView(company, name, next);
            setNaming(false);
          }}
        />
      </li>
    );
  }
  return (
    <li>
      <Link to="/customers" search={view.search} className="link" onClick={onOpen}>
        <bdi>{name}</bdi>
      </Link>
      <Button
        type="text"
        icon={<Pencil size={15} aria-hidden />}
        aria-label={t('customers.viewRename', { name })}
        onClick={() => setNaming(true)}
      />
      <Button
        type="text"
        icon={<Trash2 size={15} aria-hidden />}
        aria-label={t('customers.viewDelete', { name })}
        onClick={() => deleteView(company, name)}
      />
    </li>
  );
}
