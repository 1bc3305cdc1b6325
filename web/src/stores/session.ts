/** Who is signed in, and what the roles let them do here. */
import { defineStore } from 'pinia'
import { computed, ref } from 'vue'

import { answer, api, setCsrfToken, whenSignedOut } from '@/api/client'
import { ApiError } from '@/api/errors'
import type { Account, Action, SignedIn } from '@/api/types'

export type Area = 'live' | 'sharing' | 'recordings' | 'plans' | 'alarms' | 'devices' | 'accounts' | 'purposes' | 'access' | 'audit' | 'system' | 'me'

/** Which rights open which page. The server decides every request anyway; this only keeps useless doors out of sight. */
const areaActions: Record<Area, readonly Action[] | 'everyone'> = {
  live: ['live.view'],
  recordings: ['recording.view'],
  plans: ['recording.read'],
  alarms: ['alarm.handle', 'device.manage'],
  devices: ['device.read'],
  sharing: ['sharing.read'],
  accounts: ['account.manage'],
  purposes: ['purpose.manage'],
  access: 'everyone',
  audit: ['audit.read'],
  system: ['system.read'],
  me: 'everyone',
}

const order: readonly Area[] = ['live', 'recordings', 'alarms', 'accounts', 'purposes', 'devices', 'sharing', 'access', 'plans', 'audit', 'system']

export function areasFor(actions: readonly Action[]): Area[] {
  return order.filter((area) => {
    const opening = areaActions[area]
    return opening === 'everyone' || opening.some((action) => actions.includes(action))
  })
}

/** The page that an area opens with, where it is not named like it. */
export function doorOf(area: Area): string {
  return area === 'recordings' ? 'playback' : area
}

export const useSession = defineStore('session', () => {
  const account = ref<Account | null>(null)
  const known = ref(false)
  const endsAt = ref<string | null>(null)
  /** True when a session ended by itself, so that the sign-in page can say so. */
  const ended = ref(false)

  const actions = ref<Action[]>([])
  const areas = computed<Area[]>(() => (account.value === null ? [] : areasFor(actions.value)))
  const home = computed<Area>(() => areas.value[0] ?? 'me')

  /** Whether the roles of this account give a right to `action` at all. */
  function can(action: Action): boolean {
    return account.value !== null && actions.value.includes(action)
  }

  function may(area: Area): boolean {
    return area === 'me' || areas.value.includes(area)
  }

  function accept(signedIn: SignedIn): void {
    account.value = signedIn.account
    actions.value = signedIn.actions
    setCsrfToken(signedIn.csrf_token)
    endsAt.value = signedIn.ends_at
    known.value = true
    ended.value = false
  }

  function patchAccount(change: Partial<Account>): void {
    if (account.value !== null) account.value = { ...account.value, ...change }
  }

  /** Reads the session again: a changed password may have renewed its token. */
  async function refresh(): Promise<void> {
    accept(await answer(api.GET('/api/session')))
  }

  function forget(): void {
    account.value = null
    actions.value = []
    setCsrfToken('')
    known.value = true
  }

  /** The session ended by itself: idle time, a disabled account, or signed out elsewhere. */
  function expire(): void {
    if (account.value === null) return
    forget()
    ended.value = true
  }

  whenSignedOut(expire)

  /** Asks once whether the cookie still names a session; an unreachable server counts as signed out for now. */
  async function restore(): Promise<void> {
    if (known.value) return
    try {
      accept(await answer(api.GET('/api/session')))
    } catch (problem) {
      forget()
      if (problem instanceof ApiError && problem.status === 0) known.value = false
    }
  }

  async function signIn(username: string, password: string, totp?: string): Promise<void> {
    accept(await answer(api.POST('/api/session', { body: { username, password, totp: totp ?? null } })))
  }

  async function signOut(): Promise<void> {
    try {
      await answer(api.DELETE('/api/session'))
    } finally {
      forget()
      ended.value = false
    }
  }

  return { account, known, endsAt, patchAccount, refresh, ended, areas, home, can, may, restore, signIn, signOut, expire }
})
