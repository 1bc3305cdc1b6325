/** Blocks of a configuration as devices tell them, read into what the forms hold. Everything may be missing. */
import type { components } from '@/api/schema'
import { cellsADay } from '@/shell/halfHours'

import type { ConfigBlock, ConfigType } from '../types'

type Schemas = components['schemas']
type Values = Record<string, unknown>

export const types2016: readonly ConfigType[] = ['BasicParam', 'VideoParamOpt']
export const types2022: readonly ConfigType[] = ['VideoParamAttribute', 'VideoRecordPlan', 'VideoAlarmRecord', 'PictureMask', 'FrameMirror', 'AlarmReport', 'OSDConfig']

export function valuesOf(blocks: readonly ConfigBlock[], type: ConfigType): Values | null {
  return blocks.find((block) => block.type === type)?.values ?? null
}

const num = (value: unknown, otherwise: number) => (typeof value === 'number' ? value : typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : otherwise)
const text = (value: unknown) => (typeof value === 'string' ? value : '')
const list = (value: unknown) => (Array.isArray(value) ? (value as Values[]) : [])

export function osdOf(values: Values): Required<Schemas['Osd']> {
  return {
    kind: 'osd',
    window_length: num(values.length, 1280),
    window_width: num(values.width, 720),
    time_enabled: values.time_enable === true,
    time_x: num(values.time_x, 0),
    time_y: num(values.time_y, 0),
    time_type: num(values.time_type, 0),
    text_enabled: values.text_enable === true,
    texts: list(values.items).map((one) => ({ text: text(one.text), x: num(one.x, 0), y: num(one.y, 0) })),
  }
}

export type Region = Schemas['MaskRegion']

/** A region as "left,top,right,bottom"; one that says anything else is left out. */
export function regionOf(point: unknown): Region | null {
  const parts = text(point).split(',').map((part) => part.trim())
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,5}$/.test(part))) return null
  const [left = 0, top = 0, right = 0, bottom = 0] = parts.map(Number)
  return { left, top, right, bottom }
}

export function maskOf(values: Values): { enabled: boolean; regions: Region[] } {
  return { enabled: values.on === true, regions: list(values.regions).map((one) => regionOf(one.point)).filter((one) => one !== null) }
}

export function videoOf(values: Values): Schemas['VideoStream'][] {
  return list(values.items).map((one) => ({
    stream: num(one.stream_number, 0),
    video_format: num(one.video_format, 2),
    resolution: text(one.resolution) || '6',
    frame_rate: num(one.frame_rate, 25),
    bit_rate_type: num(one.bit_rate_type, 1),
    video_bit_rate_kbps: num(one.video_bit_rate_kbps, 2048),
  }))
}

/** The picture's size in pixels as the main stream's parameters say it. */
export function sizeOf(resolution: string | undefined): { width: number; height: number } | null {
  const written = /^(\d{2,5})x(\d{2,5})$/.exec(resolution ?? '')
  if (written !== null) return { width: Number(written[1]), height: Number(written[2]) }
  const coded: Record<string, [number, number]> = { '1': [176, 144], '2': [352, 288], '3': [704, 576], '4': [704, 576], '5': [1280, 720], '6': [1920, 1080] }
  const found = coded[resolution ?? '']
  return found === undefined ? null : { width: found[0], height: found[1] }
}

// -- the week of a record plan, in half hours

const cellS = 86_400 / cellsADay
const lastS = 86_399
export const segmentsMax = 8

export type Week = boolean[][]

export function emptyWeek(): Week {
  return Array.from({ length: 7 }, () => Array.from({ length: cellsADay }, () => false))
}

/** The plan as a grid, and whether it fits one: devices plan by the second. */
export function weekOf(values: Values): { week: Week; exact: boolean } {
  const week = emptyWeek()
  let exact = true
  for (const day of list(values.schedules)) {
    const row = week[num(day.week_day, 1) - 1]
    if (row === undefined) continue
    for (const one of list(day.segments)) {
      const start = num(one.start_hour, 0) * 3600 + num(one.start_min, 0) * 60 + num(one.start_sec, 0)
      const told = num(one.stop_hour, 0) * 3600 + num(one.stop_min, 0) * 60 + num(one.stop_sec, 0)
      const stop = told >= lastS ? 86_400 : told
      if (start % cellS !== 0 || stop % cellS !== 0) exact = false
      for (let cell = Math.floor(start / cellS); cell < Math.ceil(stop / cellS) && cell < cellsADay; cell += 1) row[cell] = true
    }
  }
  return { week, exact }
}

/** A grid as the days of a plan; a segment to midnight ends at 23:59:59. */
export function daysOf(week: Week): Schemas['DaySchedule'][] {
  return week.map((row, index) => ({ weekday: index + 1, segments: segmentsOf(row) })).filter((day) => day.segments.length > 0)
}

export function segmentsOf(row: readonly boolean[]): { start_s: number; stop_s: number }[] {
  const segments: { start_s: number; stop_s: number }[] = []
  let from: number | null = null
  for (let cell = 0; cell <= row.length; cell += 1) {
    if (row[cell] === true) from ??= cell
    else if (from !== null) {
      segments.push({ start_s: from * cellS, stop_s: Math.min(cell * cellS, lastS) })
      from = null
    }
  }
  return segments
}
