/** What somebody orders, as far as arithmetic goes. */
import type { components } from '@/api/schema'

type Schemas = components['schemas']

export type Export = Schemas['ExportOut']
export type ExportOrder = Schemas['ExportIn']
export type CutMode = Schemas['CutMode']

/** The server's rules. */
export const longestMs = 24 * 3600_000
export const mostChannels = 16

export interface Draft {
  channelIds: readonly string[]
  from: number
  to: number
  streamNumber: number
  cut: CutMode
  burnTime: boolean
  watermark: boolean
}

export function spanIsRight(from: number, to: number): boolean {
  return Number.isFinite(from) && Number.isFinite(to) && to > from && to - from <= longestMs
}

/** A local time as a `datetime-local` field writes it, to the second. */
export function localText(at: number): string {
  return new Date(at - new Date(at).getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
}

export function bodyOf(draft: Draft): ExportOrder {
  return {
    channel_ids: [...draft.channelIds],
    stream_number: draft.streamNumber,
    begin: new Date(draft.from).toISOString(),
    end: new Date(draft.to).toISOString(),
    cut: draft.cut,
    burn_time: draft.burnTime,
    time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone || 'Asia/Shanghai',
    watermark: draft.watermark,
  }
}

export function isUnderWay(one: Pick<Export, 'state'>): boolean {
  return one.state === 'waiting' || one.state === 'running'
}
