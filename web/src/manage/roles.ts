/** Roles that one person cannot hold together. The server enforces this; the console explains it beforehand. */
import type { Role } from '@/api/types'

export const allRoles: readonly Role[] = [
  'operator',
  'investigator',
  'supervisor',
  'security_admin',
  'system_admin',
  'maintainer',
  'auditor',
  'inspector',
]

const granting: readonly Role[] = ['supervisor', 'system_admin', 'security_admin']
const using: readonly Role[] = ['operator', 'investigator']
const examining: readonly Role[] = ['auditor', 'inspector']

export function conflicting(first: Role, second: Role): boolean {
  if (first === second) return false
  if (examining.includes(first) !== examining.includes(second)) return true
  return (granting.includes(first) && using.includes(second)) || (using.includes(first) && granting.includes(second))
}

/** The first two of `roles` that exclude each other, or null. */
export function conflictAmong(roles: readonly Role[]): [Role, Role] | null {
  for (const [index, first] of roles.entries()) {
    for (const second of roles.slice(index + 1)) if (conflicting(first, second)) return [first, second]
  }
  return null
}

const letters = 'abcdefghijkmnpqrstuvwxyz23456789'

/** A first password to hand over: 5 groups of 4 from 32 unmistakable signs, 100 bits. */
export function generatedPassword(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(20))
  const signs = [...bytes].map((byte) => letters[byte % letters.length] ?? '')
  return Array.from({ length: 5 }, (_, group) => signs.slice(group * 4, group * 4 + 4).join('')).join('-')
}
