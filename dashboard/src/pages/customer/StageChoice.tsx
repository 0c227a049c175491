import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

import { stagesQuery } from '../../api/queries/stages';
import { StageChip } from '../../parts/StageChip';
import { useStages } from '../../parts/useStages';

type Props = { chosen: string | null; current: string; onChoose: (stage: string) => void };

/** The stages that the customer can be moved to, as chips to choose from. */
export function StageChoice({ chosen, current, onChoose }: Props) {
  const { t } = useTranslation();
  const { data } = useQuery(stagesQuery());
  const active = new Set(data?.stages.filter((stage) => stage.is_active).map((stage) => stage.key));
  const stages = useStages()?.filter((stage) => active.has(stage.key)) ?? [];
  const here = stages.find((stage) => stage.key === current);
  return (
    <fieldset className="stage-choice">
      <legend>
        {t('customer.dialog.toStage')}
        {here !== undefined && ` (${t('customer.dialog.now', { stage: here.name })})`}
      </legend>
      {stages
        .filter((stage) => stage.key !== current || stage.key === chosen)
        .map((stage) => (
          <label key={stage.key} className={stage.key === chosen ? 'chosen' : undefined}>
            <input
              type="radio"
              name="stage"
              value={stage.key}
              checked={stage.key === chosen}
              onChange={() => onChoose(stage.key)}
            />
            <StageChip stage={stage} />
          </label>
        ))}
    </fieldset>
  );
}
