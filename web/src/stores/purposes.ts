/** Purposes to choose from, and the one kept for the shift. */
import { defineStore } from 'pinia'
import { ref } from 'vue'

import { answer, api, serverNow } from '@/api/client'
import type { Action, Purpose } from '@/api/types'

/** A purpose stated once for the following cameras too; it ends when its time is over. */
export interface ShiftPurpose {
  accountId: string
  purposeId: string
  reason: string
  endsAt: number
}

const memory = 'commonview.shift-purpose'
/** Less time than this is not worth a grant of its own: ask again. */
const leastMs = 60_000

function recall(): ShiftPurpose | null {
  try {
    const value = JSON.parse(sessionStorage.getItem(memory) ?? 'null') as Partial<ShiftPurpose> | null
    if (value === null || typeof value.endsAt !== 'number') return null
    const { accountId, purposeId, reason, endsAt } = value
    if (typeof accountId !== 'string' || typeof purposeId !== 'string' || typeof reason !== 'string') return null
    return { accountId, purposeId, reason, endsAt }
  } catch {
    return null
  }
}

export const usePurposes = defineStore('purposes', () => {
  const purposes = ref<Purpose[]>([])
  const shift = ref<ShiftPurpose | null>(recall())

  /** Purposes in force that permit an action. */
  function permitting(action: Action): Purpose[] {
    return purposes.value.filter((purpose) => !purpose.retired && purpose.actions.includes(action))
  }

  async function load(): Promise<void> {
    purposes.value = (await answer(api.GET('/api/purposes'))).items
  }

  function keep(value: ShiftPurpose | null): void {
    shift.value = value
    try {
      if (value === null) sessionStorage.removeItem(memory)
      else sessionStorage.setItem(memory, JSON.stringify(value))
    } catch {
      // storage may be denied; the purpose then lasts until the page is reloaded
    }
  }

  /** The shift's purpose when it is this person's and has time left. */
  function inForce(accountId: string): ShiftPurpose | null {
    const kept = shift.value
    if (kept === null) return null
    if (kept.accountId === accountId && kept.endsAt - serverNow() > leastMs) return kept
    keep(null)
    return null
  }

  return { purposes, shift, permitting, load, keep, inForce }
})
