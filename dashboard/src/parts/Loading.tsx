import { useEffect, useState } from 'react';

const DELAY_MS = 150;

/** The outline of what is being read. What arrives sooner than this is shown without one. */
export function Loading({ height }: { height: number }) {
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), DELAY_MS);
    return () => clearTimeout(timer);
  }, []);
  return <div className={isLate ? 'loading late' : 'loading'} style={{ height }} aria-busy="true" />;
}
