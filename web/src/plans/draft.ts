/** A plan in the making: what the form holds, and what of it is sent. Pure. */
import type { LegalClass, Plan, PlanIn, PlanMode } from './types'
import { emptyWeekDays, spansOf, weekOf, type Week } from './week'

export const defaultDays = 30
export const mostDays = 3650
const gib = 2 ** 30

export interface Draft {
  name: string
  scope: 'channel' | 'group'
  channelId: string
  groupId: string
  stream: number
  mode: PlanMode
  week: Week
  timeZone: string
  afterEventS: number
  days: number
  basis: string
  purpose: string
  quotaGib: number | ''
  enabled: boolean
}

export function draftOf(plan: Plan | null, timeZone: string): Draft {
  return {
    name: plan?.name ?? '',
    scope: plan?.group_id == null ? 'channel' : 'group',
    channelId: plan?.channel_id ?? '',
    groupId: plan?.group_id ?? '',
    stream: plan?.stream_number ?? 0,
    mode: plan?.mode ?? 'always',
    week: plan === null ? emptyWeekDays() : weekOf(plan.spans),
    timeZone: plan?.time_zone ?? timeZone,
    afterEventS: plan?.after_event_s ?? 30,
    days: plan?.retention_days ?? defaultDays,
    basis: plan?.legal_basis ?? '',
    purpose: plan?.purpose ?? '',
    quotaGib: plan?.quota_bytes == null ? '' : plan.quota_bytes / gib,
    enabled: plan?.enabled ?? true,
  }
}

export function bodyOf(draft: Draft): PlanIn {
  return {
    name: draft.name.trim(),
    channel_id: draft.scope === 'channel' ? draft.channelId : null,
    group_id: draft.scope === 'group' ? draft.groupId : null,
    stream_number: draft.stream,
    mode: draft.mode,
    spans: draft.mode === 'schedule' ? spansOf(draft.week) : [],
    time_zone: draft.timeZone,
    after_event_s: draft.afterEventS,
    retention_days: draft.days,
    legal_basis: draft.days > defaultDays ? draft.basis.trim() : '',
    purpose: draft.purpose.trim(),
    quota_bytes: draft.quotaGib === '' ? null : Math.round(draft.quotaGib * gib),
    enabled: draft.enabled,
  }
}

/** Where the server finds the first fault, in its own words for fields. */
export type Fault = 'name' | 'purpose' | 'channel_id' | 'group_id' | 'spans' | 'retention_short' | 'legal_basis'

/** What is missing before it can be sent. `minimum` is what the law asks for, where it is known. */
export function faultOf(draft: Draft, minimum: number | null): Fault | null {
  if (draft.name.trim() === '') return 'name'
  if (draft.scope === 'channel' && draft.channelId === '') return 'channel_id'
  if (draft.scope === 'group' && draft.groupId === '') return 'group_id'
  if (draft.mode === 'schedule' && spansOf(draft.week).length === 0) return 'spans'
  if (minimum !== null && draft.days < minimum) return 'retention_short'
  if (draft.days > defaultDays && draft.basis.trim() === '') return 'legal_basis'
  return draft.purpose.trim() === '' ? 'purpose' : null
}

/** Days that the law asks for of one camera: the strictest class while nobody stated another. */
export function minimumOf(channelId: string, classes: ReadonlyMap<string, number>): number {
  return classes.get(channelId) ?? defaultDays
}

export const legalClasses: readonly LegalClass[] = ['article_7', 'article_9', 'non_public']
