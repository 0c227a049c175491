import { useBoot } from '../parts/useBoot';
import { LocalTime } from './LocalTime';

/** The company, and the time that it is there. */
export function Brand() {
  const { company } = useBoot();
  return (
    <div className="brand">
      <span className="mark" aria-hidden>
        <svg width="18" height="18" viewBox="0 0 18 18">
          <path d="M2 13c3 0 3-8 7-8s4 5 7 5" className="mark-line" />
          <circle cx="15.4" cy="10" r="2" fill="#F59E0B" />
        </svg>
      </span>
      <span className="brand-text">
        <b>{company.name}</b>
        <LocalTime />
      </span>
    </div>
  );
}
