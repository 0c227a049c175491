/** Returns the name of an action as people write it: `send_welcome_email` becomes `Send welcome email`. */
export function actionName(name: string): string {
  const text = name.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
