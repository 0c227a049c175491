import { X } from 'lucide-react';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';

import { dismissNotice, useNotices, type Notice } from './notices';

/** What has just happened, at the foot of every page. The region is always there, so that readers announce it. */
export function Notices() {
  const notices = useNotices();
  return (
    <div className="notices" role="status" aria-live="polite">
      {notices.map((notice) => (
        <Item key={notice.id} notice={notice} />
      ))}
    </div>
  );
}

function Item({ notice }: { notice: Notice }) {
  const { t } = useTranslation();
  const { id, lasts } = notice;
  useEffect(() => {
    const timer = setTimeout(() => dismissNotice(id), lasts);
    return () => clearTimeout(timer);
  }, [id, lasts]);
  return (
    <div className={`notice ${notice.kind}`}>
      <span>{notice.text}</span>
      {notice.undo !== undefined && (
        <button
          type="button"
          className="notice-undo"
          onClick={() => {
            notice.undo?.();
            dismissNotice(id);
          }}
        >
          {t('notices.undo')}
        </button>
      )}
      <button
        type="button"
        className="notice-close"
        aria-label={t('notices.close')}
        onClick={() => dismissNotice(id)}
      >
        <X size={14} aria-hidden />
      </button>
    </div>
  );
}
