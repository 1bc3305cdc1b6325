/** A week of recording, by the minute: painted in half hours, or written as times. Pure. */
import { clockOf } from '@/shell/halfHours'

export interface DaySpan {
  begin: number
  end: number
}

export interface WeeklySpan {
  weekday: number
  begin_minute: number
  end_minute: number
}

/** The days from Monday on, each with its spans in order, apart from each other. */
export type Week = DaySpan[][]

export const dayMinutes = 1440
/** The server takes so many spans a week. */
export const mostSpans = 100

export const emptyWeekDays = (): Week => Array.from({ length: 7 }, () => [])

export function weekOf(spans: readonly WeeklySpan[]): Week {
  return Array.from({ length: 7 }, (_, weekday) =>
    spans.filter((one) => one.weekday === weekday).reduce<DaySpan[]>((day, one) => painted(day, one.begin_minute, one.end_minute, true), []),
  )
}

export function spansOf(week: Week): WeeklySpan[] {
  return week.flatMap((day, weekday) => day.map((one) => ({ weekday, begin_minute: one.begin, end_minute: one.end })))
}

/** The day with `from` up to `to` recorded, or not. */
export function painted(day: readonly DaySpan[], from: number, to: number, on: boolean): DaySpan[] {
  const left = day.flatMap((one) => [
    ...(one.begin < from ? [{ begin: one.begin, end: Math.min(one.end, from) }] : []),
    ...(one.end > to ? [{ begin: Math.max(one.begin, to), end: one.end }] : []),
  ])
  if (!on || from >= to) return joined(left)
  return joined([...left, { begin: from, end: to }])
}

function joined(spans: readonly DaySpan[]): DaySpan[] {
  const found: DaySpan[] = []
  for (const one of [...spans].sort((a, b) => a.begin - b.begin)) {
    const last = found.at(-1)
    if (last !== undefined && one.begin <= last.end) last.end = Math.max(last.end, one.end)
    else found.push({ ...one })
  }
  return found
}

/** How much of a piece of a day is recorded. */
export function coverage(day: readonly DaySpan[], from: number, to: number): 'all' | 'some' | 'none' {
  const minutes = day.reduce((sum, one) => sum + Math.max(0, Math.min(one.end, to) - Math.max(one.begin, from)), 0)
  return minutes === 0 ? 'none' : minutes === to - from ? 'all' : 'some'
}


/** `08:00–12:30, 14:00–24:00` */
export function textOf(day: readonly DaySpan[]): string {
  return day.map((one) => `${clockOf(one.begin)}–${clockOf(one.end)}`).join(', ')
}

/** What somebody wrote, or null when it says no times. Full-width signs of Chinese input are taken. */
export function parsed(text: string): DaySpan[] | null {
  const parts = text
    .replace(/：/g, ':')
    .split(/[,，;；、\s]+(?=\d)|[,，;；、]/)
    .map((part) => part.trim())
    .filter((part) => part !== '')
  const found: DaySpan[] = []
  for (const part of parts) {
    const match = /^(\d{1,2}):(\d{2})\s*[-–—－~至]\s*(\d{1,2}):(\d{2})$/.exec(part)
    if (match === null) return null
    const [hour = 0, minute = 0, endHour = 0, endMinute = 0] = match.slice(1).map(Number)
    const begin = hour * 60 + minute
    const end = endHour * 60 + endMinute
    if (minute > 59 || endMinute > 59 || begin >= end || end > dayMinutes) return null
    found.push({ begin, end })
  }
  return joined(found)
}

export function hoursOf(week: Week): number {
  return week.flat().reduce((sum, one) => sum + one.end - one.begin, 0) / 60
}
