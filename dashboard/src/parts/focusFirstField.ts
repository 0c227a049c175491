const FIRST = '.ant-modal-body :is(input, textarea, select):not(:disabled)';

/** Puts the focus on the first field of a dialog that has opened. */
export function focusFirstField(isOpen: boolean): void {
  if (isOpen) document.querySelector<HTMLElement>(FIRST)?.focus();
}
