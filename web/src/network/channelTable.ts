/** Cameras as a table for people, and back as rows for the server. */
import { answer, api } from '@/api/client'
import type { Channel, Group, ImportRow } from '@/api/types'
import type { Table } from '@/network/table'

/** The columns, in both languages; a table may have them in any order and others besides. */
export const columns = ['device_id', 'gb_id', 'name', 'place', 'longitude', 'latitude', 'groups'] as const
export type Column = (typeof columns)[number]

const headings: Record<Column, readonly string[]> = {
  device_id: ['device_id', '设备编码'],
  gb_id: ['gb_id', '通道编码'],
  name: ['name', '名称'],
  place: ['place', '地点'],
  longitude: ['longitude', '经度'],
  latitude: ['latitude', '纬度'],
  groups: ['groups', '分组'],
}

const pageSize = 500
/** Between group paths of one camera. */
const between = ';'

export function headingOf(column: Column, language: 'zh' | 'en'): string {
  return headings[column][language === 'zh' ? 1 : 0] ?? column
}

export type Read = { rows: ImportRow[]; missing: Column[] }

/** Rows of a table whose first line names the columns; lines without any text are left out. */
export function rowsOf(table: Table): Read {
  const heads = (table[0] ?? []).map((text) => text.trim().toLowerCase())
  const places = new Map(columns.map((column) => [column, heads.findIndex((head) => headings[column].includes(head))]))
  const missing = (['device_id', 'gb_id'] as const).filter((column) => places.get(column) === -1)
  const rows = table.slice(1).flatMap((line, index): ImportRow[] => {
    if (line.every((text) => text.trim() === '')) return []
    const cell = (column: Column): string => (line[places.get(column) ?? -1] ?? '').trim().replace(/^'(?=[=+@\d])/, '').slice(0, 256)
    const groups = cell('groups').split(between).map((path) => path.trim()).filter((path) => path !== '').slice(0, 16)
    return [{ row: index + 2, device_id: cell('device_id'), gb_id: cell('gb_id'), name: cell('name'), place: cell('place'), longitude: cell('longitude'), latitude: cell('latitude'), groups }]
  })
  return { rows, missing }
}

export function pathsOf(groups: readonly Group[]): Map<string, string> {
  const byId = new Map(groups.map((group) => [group.id, group]))
  const path = (group: Group): string => {
    const above = byId.get(group.parent_id)
    return above === undefined ? group.name : `${path(above)}/${group.name}`
  }
  return new Map(groups.map((group) => [group.id, path(group)]))
}

/** Reads every camera there is; `progress` hears how many are read. */
export async function exported(language: 'zh' | 'en', progress: (read: number) => void): Promise<Table> {
  const paths = pathsOf((await answer(api.GET('/api/groups'))).items)
  const inGroups = new Map<string, string[]>()
  for (const [id, path] of paths) {
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: { nodes: { channel: Channel | null }[]; cursor: string | null } = await answer(api.GET('/api/tree/nodes', { params: { query: { view: 'group', parent: id, cursor, limit: pageSize } } }))
      for (const { channel } of page.nodes) if (channel !== null) inGroups.set(channel.id, [...(inGroups.get(channel.id) ?? []), path])
      cursor = page.cursor
    }
  }
  const table: Table = [columns.map((column) => headingOf(column, language))]
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page: { channels: Channel[]; cursor: string | null } = await answer(api.GET('/api/channels', { params: { query: { cursor, limit: pageSize } } }))
    for (const one of page.channels) {
      if (one.kind !== 'video') continue
      const degrees = (value: number | null) => (value === null ? '' : String(value))
      table.push([one.device_id, one.gb_id, one.name, one.place, degrees(one.longitude), degrees(one.latitude), (inGroups.get(one.id) ?? []).join(`${between} `)])
    }
    progress(table.length - 1)
    cursor = page.cursor
  }
  return table
}
