import type { ReactNode } from 'react';

type Props = {
  /** What the points are, for readers. */
  label: string;
  count: number;
  index: number;
  /** The point in one sentence. */
  sentence: string;
  onMove: (index: number | null) => void;
  children: ReactNode;
};

/** One point of a curve in words, and the slider that arrow keys move over the points. */
export function PointReader({ label, count, index, sentence, onMove, children }: Props) {
  return (
    <div className="day-reader">
      <input
        type="range"
        className="day-slider"
        min={0}
        max={count - 1}
        value={index}
        aria-label={label}
        aria-valuetext={sentence}
        onChange={(event) => onMove(Number(event.target.value))}
        onBlur={() => onMove(null)}
      />
      {children}
    </div>
  );
}
