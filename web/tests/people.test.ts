import { describe, expect, test } from 'vitest'

import { faultsOf, type NewPerson } from '@/entry/newPerson'
import { readSetupAddress } from '@/entry/setupToken'
import { allRoles, conflictAmong, conflicting, generatedPassword } from '@/manage/roles'
import { grouped, qrPath } from '@/manage/totp'
import { areasFor } from '@/stores/session'

const person = (change: Partial<NewPerson> = {}): NewPerson => ({ username: 'duty', displayName: 'Li Na', password: 'ten signs and more', again: 'ten signs and more', ...change })

describe('the set-up link', () => {
  test('is read in both forms and leaves an address without its token', () => {
    expect(readSetupAddress('http://host:8000/#/setup?token=abc')).toEqual({ token: 'abc', clean: '/#/setup' })
    expect(readSetupAddress('http://host:8000/setup?token=abc')).toEqual({ token: 'abc', clean: '/#/setup' })
    expect(readSetupAddress('http://host:8000/setup/?token=a%2Bb')).toEqual({ token: 'a+b', clean: '/#/setup' })
  })

  test('is not seen in other addresses', () => {
    expect(readSetupAddress('http://host:8000/#/setup')).toBeNull()
    expect(readSetupAddress('http://host:8000/#/live?token=abc')).toBeNull()
  })
})

describe('a new person', () => {
  test('without fault has none', () => {
    expect(faultsOf(person())).toEqual({})
  })

  test('needs a name, a proper user name and a long password given twice', () => {
    expect(faultsOf(person({ username: ' ', displayName: '', password: 'short', again: 'other' }))).toEqual({
      username: 'needed',
      displayName: 'needed',
      password: 'passwordShort',
      again: 'passwordsDiffer',
    })
    expect(faultsOf(person({ username: '李娜' })).username).toBe('usernameBad')
  })

  test('shares neither user name nor password with those before', () => {
    expect(faultsOf(person(), [person({ username: 'DUTY ' })])).toEqual({ username: 'sameUsername', password: 'samePassword' })
  })
})

describe('roles', () => {
  test('that decide exclude roles that watch, and roles that examine exclude all others', () => {
    expect(conflicting('operator', 'supervisor')).toBe(true)
    expect(conflicting('security_admin', 'investigator')).toBe(true)
    expect(conflicting('auditor', 'maintainer')).toBe(true)
    expect(conflicting('auditor', 'inspector')).toBe(false)
    expect(conflicting('operator', 'maintainer')).toBe(false)
    expect(conflicting('system_admin', 'security_admin')).toBe(false)
  })

  test('conflict both ways round, and never with themselves', () => {
    for (const first of allRoles) {
      expect(conflicting(first, first)).toBe(false)
      for (const second of allRoles) expect(conflicting(first, second)).toBe(conflicting(second, first))
    }
  })

  test('the first conflict in a choice is named', () => {
    expect(conflictAmong(['maintainer', 'operator', 'supervisor'])).toEqual(['operator', 'supervisor'])
    expect(conflictAmong(['operator', 'investigator'])).toBeNull()
  })
})

describe('navigation', () => {
  test('shows a page only with the right that opens it', () => {
    expect(areasFor(['live.view', 'device.read'])).toEqual(['live', 'devices', 'access'])
    expect(areasFor(['audit.read', 'system.read'])).toEqual(['access', 'audit', 'system'])
    expect(areasFor([])).toEqual(['access'])
  })
})

test('generated passwords are long, readable and never the same', () => {
  const made = new Set(Array.from({ length: 50 }, generatedPassword))
  expect(made.size).toBe(50)
  for (const one of made) expect(one).toMatch(/^([a-km-z2-9]{4}-){4}[a-km-z2-9]{4}$/)
})

test('a secret is grouped to be typed and drawn as a code with its quiet zone', () => {
  expect(grouped('ABCDEFGHIJ')).toBe('ABCD EFGH IJ')
  const { path, side } = qrPath('otpauth://totp/Commonview:admin?secret=ABC')
  expect(side).toBeGreaterThanOrEqual(21 + 8)
  expect(path.startsWith('M4 4h1v1h-1z')).toBe(true)
})
