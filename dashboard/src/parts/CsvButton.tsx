import { Button } from 'antd';
import { Download, X } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { useFormats } from '../format/useFormats';
import { download, readCsv, type CsvSearch } from './csv';
import { Failure } from './Failure';

type Props = { path: string; search: CsvSearch; figure: string };

/** The whole list as one file, however many pages it has. A second press ends the reading. */
export function CsvButton({ path, search, figure }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const [rows, setRows] = useState<number | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const reading = useRef<AbortController>(null);
  useEffect(() => () => reading.current?.abort(), []);
  const read = async () => {
    const ending = new AbortController();
    reading.current = ending;
    setError(null);
    setRows(0);
    try {
      download(`${figure}.csv`, await readCsv(path, search, setRows, ending.signal));
    } catch (caught) {
      if (!ending.signal.aborted) setError(caught instanceof Error ? caught : new Error(String(caught)));
    }
    setRows(null);
  };
  if (rows !== null) {
    return (
      <Button icon={<X size={15} aria-hidden />} onClick={() => reading.current?.abort()}>
        {t('parts.csvBusy', { rows: formats.int(rows) })}
      </Button>
    );
  }
  return (
    <div>
      <Button icon={<Download size={15} aria-hidden />} onClick={() => void read()}>
        {t('parts.csv')}
      </Button>
      {error !== null && <Failure error={error} />}
    </div>
  );
}
