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

export type PersonFault = 'needed' | 'passwordShort' | 'passwordsDiffer' | 'sameUsername' | 'samePassword' | 'usernameBad'
export type PersonFaults = Partial<Record<keyof NewPerson, PersonFault>>

export function nobody(): NewPerson {
  return { username: '', displayName: '', password: '', again: '' }
}

/** `others` are the people entered before: names and passwords are each person's own. */
export function faultsOf(person: NewPerson, others: readonly NewPerson[] = []): PersonFaults {
  const faults: PersonFaults = {}
  const username = person.username.trim().toLowerCase()
  if (username === '') faults.username = 'needed'
  else if (!/^[a-z0-9._-]{2,32}$/.test(username)) faults.username = 'usernameBad'
  else if (others.some((other) => other.username.trim().toLowerCase() === username)) faults.username = 'sameUsername'
  if (person.displayName.trim() === '') faults.displayName = 'needed'
  if ([...person.password].length < PASSWORD_MIN) faults.password = 'passwordShort'
  else if (others.some((other) => other.password === person.password)) faults.password = 'samePassword'
  if (person.password !== person.again) faults.again = 'passwordsDiffer'
  return faults
}

export function toAccount(person: NewPerson): NewAccount {
  return { username: person.username.trim(), display_name: person.displayName.trim(), password: person.password }
}
