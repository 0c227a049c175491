import type { ReactNode } from 'react';

/** Says why there is nothing, and what the next step is. */
export function EmptyState({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <b>{title}</b>
      {children}
    </div>
  );
}
