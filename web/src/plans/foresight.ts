/** What a forecast says, as words with numbers: pure, so that nothing is promised that the server did not say. */
import type { Outlook } from './types'

export interface Said {
  key: string
  params: Record<string, number>
  tone: 'good' | 'warn' | 'bad' | ''
}

/** Days are said as roughly as they are known. */
export function roughly(days: number): number {
  if (days < 3) return Math.round(days * 10) / 10
  return days < 60 ? Math.round(days) : Math.round(days / 10) * 10
}

const soonDays = 7

/** The sentences about a disk, or about all: the first is the answer, the rest what follows from it. */
export function saidOf(outlook: Outlook): Said[] {
  const { state, effect, days_until_full, days_until_stop, keeps_days } = outlook
  const said: Said[] = []
  if (state === 'fills') {
    const days = roughly(days_until_full ?? 0)
    said.push({ key: days === 1 ? 'fillsInOne' : 'fillsIn', params: { n: days }, tone: effect === 'oldest_goes' || days > soonDays ? 'warn' : 'bad' })
  } else said.push({ key: state, params: {}, tone: state === 'holds' ? 'good' : state === 'full' || state === 'gone' ? 'bad' : '' })
  if (effect === 'stops') said.push({ key: 'thenStops', params: { n: roughly(days_until_stop ?? 0) }, tone: 'bad' })
  else if (effect === 'shortens') said.push({ key: 'thenShortens', params: {}, tone: 'warn' })
  else if (effect === 'oldest_goes') said.push({ key: 'thenOldest', params: { n: roughly(keeps_days ?? 0) }, tone: 'warn' })
  return said
}

/** The bar of a disk, in shares of the whole. */
export function sharesOf(disk: { total_bytes: number; free_bytes: number; recorded_bytes: number; reserve_bytes: number }): { recorded: number; other: number; free: number; reserve: number } {
  if (disk.total_bytes <= 0) return { recorded: 0, other: 0, free: 0, reserve: 0 }
  const share = (bytes: number) => Math.min(1, Math.max(0, bytes / disk.total_bytes))
  const used = share(disk.total_bytes - disk.free_bytes)
  const recorded = Math.min(used, share(disk.recorded_bytes))
  const reserve = Math.min(share(disk.free_bytes), share(disk.reserve_bytes))
  return { recorded, other: used - recorded, free: share(disk.free_bytes) - reserve, reserve }
}
