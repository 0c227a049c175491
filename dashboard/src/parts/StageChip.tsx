import type { CSSProperties } from 'react';

import { StageIcon } from './StageIcon';
import type { StageLook } from './useStages';

/** The custom properties that style sheets read the colours of a stage from. */
export function stageStyle(stage: StageLook): CSSProperties {
  return {
    '--fill': stage.fill,
    '--ink-of': stage.ink,
    '--on': stage.on,
    '--chip': stage.chip,
    '--bar': stage.bar,
  } as CSSProperties;
}

export function StageChip({ stage, isShort = false }: { stage: StageLook; isShort?: boolean }) {
  return (
    <span className="chip" style={stageStyle(stage)}>
      <StageIcon icon={stage.icon} size={13} />
      <span className="chip-name">{isShort ? stage.short : stage.name}</span>
    </span>
  );
}
