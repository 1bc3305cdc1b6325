import { expect, test } from 'vitest'

import { headingOf, pathsOf, rowsOf } from '@/network/channelTable'
import { parseCsv, parseXlsx, TableUnreadable, writeCsv, writeXlsx, type Table } from '@/network/table'

const table: Table = [
  ['设备编码', '通道编码', '名称', '分组'],
  ['34020000001320000001', '34020000001310000001', '东门, "北" <1> & 2', 'North/Gates; Patrol'],
  ['34020000001320000001', '34020000001310000002', 'two\nlines', ''],
]

test('a table survives CSV, with signs, quotes and line breaks', async () => {
  const text = await writeCsv(table).text()
  expect(parseCsv(text)).toEqual(table)
})

test('a table survives XLSX, twenty digits included', async () => {
  const read = await parseXlsx(await writeXlsx(table, 'cameras').arrayBuffer())
  expect(read.map((row) => [...row, ...Array<string>(4 - row.length).fill('')])).toEqual(table)
})

test('a formula is disarmed on its way out and is text again on its way in', async () => {
  const text = await writeCsv([['device_id', 'gb_id', 'name'], ['1', '2', '=HYPERLINK("x")']]).text()
  expect(text).toContain(`"'=HYPERLINK(""x"")"`)
  expect(rowsOf(parseCsv(text)).rows[0]?.name).toBe('=HYPERLINK("x")')
})

test('what is no table is refused, not guessed at', async () => {
  expect(() => parseCsv('a,"b')).toThrow(TableUnreadable)
  await expect(parseXlsx(new TextEncoder().encode('not a workbook').buffer)).rejects.toThrow(TableUnreadable)
})

test('columns are found by their names in either language, in any order; empty lines are left out', () => {
  const { rows, missing } = rowsOf([...table, ['', '', '', '']])
  expect(missing).toEqual([])
  expect(rows.map((row) => row.row)).toEqual([2, 3])
  expect(rows[0]).toMatchObject({ gb_id: '34020000001310000001', groups: ['North/Gates', 'Patrol'], longitude: '' })
  expect(rowsOf([['name'], ['x']]).missing).toEqual(['device_id', 'gb_id'])
  expect(headingOf('place', 'zh')).toBe('地点')
})

test('a group is named by its path from the root', () => {
  const group = (id: string, parent_id: string, name: string) => ({ id, parent_id, name, created_at: '', total: 0, on: 0 })
  expect(pathsOf([group('a', '', 'North'), group('b', 'a', 'Gates')]).get('b')).toBe('North/Gates')
})
