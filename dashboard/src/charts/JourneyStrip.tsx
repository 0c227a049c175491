import { Fragment } from 'react';
import { useTranslation } from 'react-i18next';

import type { Schemas } from '../api/client';
import { useFormats } from '../format/useFormats';
import { DrillLink } from '../parts/DrillLink';
import type { DrillTarget } from '../parts/drillTargets';
import { StageIcon } from '../parts/StageIcon';
import { stageStyle } from '../parts/StageChip';
import type { StageLook } from '../parts/useStages';

type Item = Schemas['StageCount'];
type Props = {
  items: readonly Item[];
  lookOf: (key: string, name?: string) => StageLook;
  targetOf: (item: Item) => DrillTarget;
};

/** The stages in their order, each as wide as it has customers; those of risk stand apart. */
export function JourneyStrip({ items, lookOf, targetOf }: Props) {
  const { t } = useTranslation();
  const formats = useFormats();
  const shown = items
    .map((item) => ({ item, look: lookOf(item.stage_key, item.stage_name) }))
    .toSorted((a, b) => a.look.order - b.look.order);
  const firstRisk = shown.findIndex(({ look }) => look.kind === 'risk');
  return (
    <div className="strip">
      {shown.map(({ item, look }, index) => (
        <Fragment key={item.stage_key}>
          {index === firstRisk && index > 0 && <span className="strip-gap" />}
          <DrillLink
            to={targetOf(item)}
            className="strip-stage"
            style={{ ...stageStyle(look), flexGrow: item.customers }}
            aria-label={`${formats.int(item.customers)} ${look.short}: ${t('strip.stage', { count: item.customers, stage: look.name })}`}
            title={look.name}
          >
            <span className="strip-block">{formats.int(item.customers)}</span>
            <span className="strip-name">
              <StageIcon icon={look.icon} size={12} />
              <span>{look.short}</span>
            </span>
          </DrillLink>
        </Fragment>
      ))}
    </div>
  );
}
