/**
 * Customers whose page was opened in this tab. Names are personal data: only ids are kept, until the tab is closed or the
 * person signs out, and names are read again when they are shown.
 */
const PREFIX = 'journey.recent.';
const MAX = 6;

export function recentCustomers(company: number): readonly number[] {
  try {
    const stored: unknown = JSON.parse(sessionStorage.getItem(PREFIX + company) ?? '[]');
    return Array.isArray(stored) ? stored.filter((id) => Number.isSafeInteger(id)).slice(0, MAX) : [];
  } catch {
    return [];
  }
}

export function rememberCustomer(company: number, id: number): void {
  const others = recentCustomers(company).filter((each) => each !== id);
  try {
    sessionStorage.setItem(PREFIX + company, JSON.stringify([id, ...others].slice(0, MAX)));
  } catch {
    // A browser that stores nothing has no recent customers.
  }
}

export function forgetCustomers(): void {
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith(PREFIX)) sessionStorage.removeItem(key);
  }
}

const CUSTOMER = /^\/customers\/(-?\d{1,16})(?:\/|$)/;

/** Returns the id of the customer whose page a path is; null for other paths. */
export function customerOf(path: string): number | null {
  const id = Number(CUSTOMER.exec(path)?.[1] ?? Number.NaN);
  return Number.isSafeInteger(id) ? id : null;
}
