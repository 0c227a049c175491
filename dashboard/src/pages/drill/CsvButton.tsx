import { Button } from 'antd';
import { Download } from 'lucide-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../../format/useFormats';
import { Failure } from '../../parts/Failure';
import { download, readCsv } from './csv';
import type { Search } from './expected';

type Props = { path: string; search: Search; figure: string };

/** The whole list as one file, however many pages it has. */
export function CsvButton({ path, search, figure }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const [rows, setRows] = useState<number | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const read = async () => {
    setError(null);
    setRows(0);
    try {
      download(`${figure}.csv`, await readCsv(path, search, setRows));
    } catch (caught) {
      setError(caught instanceof Error ? caught : new Error(String(caught)));
    }
    setRows(null);
  };
  return (
    <div>
      <Button
        icon={<Download size={15} aria-hidden />}
        disabled={rows !== null}
        onClick={() => {
          void read();
        }}
      >
        {rows === null ? t('drill.csv') : t('drill.csvBusy', { rows: formats.int(rows) })}
      </Button>
      {error !== null && <Failure error={error} />}
    </div>
  );
}
