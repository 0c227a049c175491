type Props = { share: number; label: string; color?: string };

/** A bar that is filled to a share of 0 to 1, and says so. */
export function Meter({ share, label, color }: Props) {
  return (
    <div
      className="meter"
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(share * 100)}
    >
      <i style={{ width: `${share * 100}%`, ...(color === undefined ? {} : { background: color }) }} />
    </div>
  );
}
