import { useTranslation } from 'react-i18next';

import { actionName } from '../format/actionName';
import { BUILT_IN_ACTIONS } from '../words/builtInActions';

type BuiltIn = (typeof BUILT_IN_ACTIONS)[number];

const isBuiltIn = (name: string): name is BuiltIn => (BUILT_IN_ACTIONS as readonly string[]).includes(name);

/** Returns how people call an action: the actions of the service in their language, others as the company wrote them. */
export function useActionName(): (name: string) => string {
  const { t } = useTranslation();
  return (name) => (isBuiltIn(name) ? t(`builtIn.${name}`) : actionName(name));
}
