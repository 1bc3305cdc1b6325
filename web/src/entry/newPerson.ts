/** The fields of a person to be given an account, and what is wrong with them. */
import type { NewAccount } from '@/api/types'

/** Shortest password the server accepts (NIST SP 800-63B: length over composition rules). */
export const PASSWORD_MIN = 10

export interface NewPerson {
  username: string
  displayName: string
  password: string
  again: string
}

export type PersonFault = 'needed' | 'passwordShort' | 'passwordsDiffer' | 'sameUsername'
export type PersonFaults = Partial<Record<keyof NewPerson, PersonFault>>

export function nobody(): NewPerson {
  return { username: '', displayName: '', password: '', again: '' }
}

export function faultsOf(person: NewPerson, taken: readonly string[] = []): PersonFaults {
  const faults: PersonFaults = {}
  const username = person.username.trim().toLowerCase()
  if (username === '') faults.username = 'needed'
  else if (taken.some((other) => other.trim().toLowerCase() === username)) faults.username = 'sameUsername'
  if (person.displayName.trim() === '') faults.displayName = 'needed'
  if ([...person.password].length < PASSWORD_MIN) faults.password = 'passwordShort'
  if (person.password !== person.again) faults.again = 'passwordsDiffer'
  return faults
}

export function toAccount(person: NewPerson): NewAccount {
  return { username: person.username.trim(), display_name: person.displayName.trim(), password: person.password }
}
