/** Scopes of the service, and the roles that have each: what a person may not do is not shown. */
export type Scope =
  | 'actions:read'
  | 'actions:write'
  | 'admin'
  | 'analytics:read'
  | 'customers:read'
  | 'customers:write'
  | 'journeys:write'
  | 'privacy'
  | 'stages:read';

const ROLES: Record<Scope, readonly ('agent' | 'manager' | 'admin')[]> = {
  'actions:read': ['agent', 'manager', 'admin'],
  'actions:write': ['agent', 'manager', 'admin'],
  'analytics:read': ['manager', 'admin'],
  'customers:read': ['agent', 'manager', 'admin'],
  'customers:write': ['agent', 'manager', 'admin'],
  'journeys:write': ['agent', 'manager', 'admin'],
  privacy: ['admin'],
  'stages:read': ['agent', 'manager', 'admin'],
  admin: ['admin'],
};

export function can(scopes: readonly string[], scope: Scope): boolean {
  return scopes.includes('*') || scopes.includes(scope);
}

export function rolesWith(scope: string): readonly ('agent' | 'manager' | 'admin')[] {
  return scope in ROLES ? ROLES[scope as Scope] : ['admin'];
}
