/** Tables as files, both ways and without a library: CSV (RFC 4180) and the one sheet of an XLSX workbook (ECMA-376). */

export type Table = string[][]

/** Bounds of what is read: a table of cameras is far below both. */
export const mostRows = 100_000
const mostBytes = 64 * 1024 * 1024

export class TableUnreadable extends Error {}

export function writeCsv(table: Table): Blob {
  const cell = (text: string): string => {
    // A leading sign of a formula is disarmed: spreadsheets would calculate it.
    const safe = /^[=+@\t]/.test(text) ? `'${text}` : text
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
  }
  const lines = table.map((row) => row.map(cell).join(','))
  // Excel takes UTF-8 for such only with a byte order mark.
  return new Blob(['\ufeff', lines.join('\r\n'), '\r\n'], { type: 'text/csv;charset=utf-8' })
}

export function parseCsv(text: string): Table {
  const table: Table = []
  let row: string[] = []
  let cell = ''
  let quoted = false
  const source = text.startsWith('\ufeff') ? text.slice(1) : text
  for (let index = 0; index < source.length; index += 1) {
    const sign = source[index]
    if (quoted) {
      if (sign !== '"') cell += sign
      else if (source[index + 1] === '"') {
        cell += '"'
        index += 1
      } else quoted = false
    } else if (sign === '"' && cell === '') quoted = true
    else if (sign === ',') {
      row.push(cell)
      cell = ''
    } else if (sign === '\n' || sign === '\r') {
      if (sign === '\r' && source[index + 1] === '\n') index += 1
      row.push(cell)
      table.push(row)
      row = []
      cell = ''
    } else cell += sign
    if (table.length > mostRows) throw new TableUnreadable('rows')
  }
  if (quoted) throw new TableUnreadable('quote')
  if (cell !== '' || row.length > 0) table.push([...row, cell])
  return table
}

const crcTable = Uint32Array.from({ length: 256 }, (_, number) => {
  let value = number
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1
  return value >>> 0
})

function crc32(bytes: Uint8Array): number {
  let value = 0xffffffff
  for (const byte of bytes) value = (crcTable[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8)
  return (value ^ 0xffffffff) >>> 0
}

/** A ZIP of files as they are, nothing compressed. */
function zip(files: readonly [name: string, text: string][]): Blob {
  const encoder = new TextEncoder()
  const parts: Uint8Array<ArrayBuffer>[] = []
  const directory: Uint8Array<ArrayBuffer>[] = []
  let offset = 0
  for (const [name, text] of files) {
    const path = encoder.encode(name)
    const data = encoder.encode(text)
    const common = new DataView(new ArrayBuffer(26))
    common.setUint16(0, 20, true)
    common.setUint16(2, 0x0800, true)
    common.setUint16(8, 0x21, true)
    common.setUint32(10, crc32(data), true)
    common.setUint32(14, data.length, true)
    common.setUint32(18, data.length, true)
    common.setUint16(22, path.length, true)
    const header = new Uint8Array(common.buffer)
    const local = Uint8Array.of(0x50, 0x4b, 3, 4, ...header)
    const place = new DataView(new ArrayBuffer(14))
    place.setUint32(10, offset, true)
    directory.push(Uint8Array.of(0x50, 0x4b, 1, 2, 20, 0, ...header, ...new Uint8Array(place.buffer)), path)
    parts.push(local, path, data)
    offset += local.length + path.length + data.length
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0)
  const end = new DataView(new ArrayBuffer(22))
  end.setUint32(0, 0x06054b50, true)
  end.setUint16(8, files.length, true)
  end.setUint16(10, files.length, true)
  end.setUint32(12, size, true)
  end.setUint32(16, offset, true)
  return new Blob([...parts, ...directory, new Uint8Array(end.buffer)], { type: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet' })
}

function columnName(index: number): string {
  return index < 26 ? String.fromCharCode(65 + index) : columnName(Math.floor(index / 26) - 1) + columnName(index % 26)
}

// Control characters cannot stand in XML 1.0 at all.
// eslint-disable-next-line no-control-regex
const xml = (text: string): string => text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

/** Every cell is text, so that a 20-digit id stays one. */
export function writeXlsx(table: Table, sheet: string): Blob {
  const rows = table.map((row, number) => {
    const cells = row.map((text, column) => (text === '' ? '' : `<c r="${columnName(column)}${number + 1}" t="inlineStr"><is><t xml:space="preserve">${xml(text)}</t></is></c>`))
    return `<row r="${number + 1}">${cells.join('')}</row>`
  })
  const head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
  const main = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main'
  const relations = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
  const packaged = 'http://schemas.openxmlformats.org/package/2006'
  const kind = 'application/vnd.openxmlformats-officedocument.spreadsheetml'
  return zip([
    ['[Content_Types].xml', `${head}<Types xmlns="${packaged}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="${kind}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="${kind}.worksheet+xml"/></Types>`],
    ['_rels/.rels', `${head}<Relationships xmlns="${packaged}/relationships"><Relationship Id="r1" Type="${relations}/officeDocument" Target="xl/workbook.xml"/></Relationships>`],
    ['xl/workbook.xml', `${head}<workbook xmlns="${main}" xmlns:r="${relations}"><sheets><sheet name="${xml(sheet)}" sheetId="1" r:id="r1"/></sheets></workbook>`],
    ['xl/_rels/workbook.xml.rels', `${head}<Relationships xmlns="${packaged}/relationships"><Relationship Id="r1" Type="${relations}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`],
    ['xl/worksheets/sheet1.xml', `${head}<worksheet xmlns="${main}"><sheetData>${rows.join('')}</sheetData></worksheet>`],
  ])
}

async function inflated(data: Uint8Array<ArrayBuffer>): Promise<string> {
  const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream('deflate-raw')).getReader()
  const chunks: Uint8Array<ArrayBuffer>[] = []
  let size = 0
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    size += read.value.length
    if (size > mostBytes) throw new TableUnreadable('size')
    chunks.push(read.value)
  }
  return new Blob(chunks).text()
}

/** The files of a ZIP by name, read by its directory at the end. */
function zipEntries(bytes: Uint8Array<ArrayBuffer>): Map<string, () => Promise<string>> {
  const view = new DataView(bytes.buffer)
  let end = bytes.length - 22
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end -= 1
  if (end < 0) throw new TableUnreadable('zip')
  const entries = new Map<string, () => Promise<string>>()
  let at = view.getUint32(end + 16, true)
  for (let count = view.getUint16(end + 10, true); count > 0; count -= 1) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== 0x02014b50) throw new TableUnreadable('zip')
    const method = view.getUint16(at + 10, true)
    const size = view.getUint32(at + 20, true)
    const nameSize = view.getUint16(at + 28, true)
    const local = view.getUint32(at + 42, true)
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameSize))
    entries.set(name, async () => {
      const begin = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true)
      const data = bytes.slice(begin, begin + size)
      if (method === 0) return new TextDecoder().decode(data)
      if (method === 8) return inflated(data)
      throw new TableUnreadable('zip')
    })
    at += 46 + nameSize + view.getUint16(at + 30, true) + view.getUint16(at + 32, true)
  }
  return entries
}

function columnOf(reference: string): number {
  let column = 0
  for (const sign of reference.replace(/\d+$/, '')) column = column * 26 + sign.charCodeAt(0) - 64
  return column - 1
}

/** The first sheet of a workbook. */
export async function parseXlsx(data: ArrayBuffer): Promise<Table> {
  try {
    const entries = zipEntries(new Uint8Array(data))
    const read = async (name: string) => new DOMParser().parseFromString((await entries.get(name)?.()) ?? '<none/>', 'application/xml')
    const texts = (node: Element) => [...node.getElementsByTagName('t')].map((one) => one.textContent).join('')
    const shared = [...(await read('xl/sharedStrings.xml')).getElementsByTagName('si')].map(texts)
    const name = [...entries.keys()].filter((one) => /^xl\/worksheets\/[^/]+\.xml$/.test(one)).sort()[0]
    if (name === undefined) throw new TableUnreadable('sheet')
    const table: Table = []
    for (const row of (await read(name)).getElementsByTagName('row')) {
      const cells: string[] = []
      for (const cell of row.getElementsByTagName('c')) {
        const kind = cell.getAttribute('t')
        const value = cell.getElementsByTagName('v')[0]?.textContent ?? ''
        const reference = cell.getAttribute('r')
        const column = reference === null ? cells.length : columnOf(reference)
        if (column > 100) continue
        while (cells.length < column) cells.push('')
        cells[column] = kind === 's' ? (shared[Number(value)] ?? '') : kind === 'inlineStr' ? texts(cell) : value
      }
      const number = Number(row.getAttribute('r') ?? table.length + 1)
      if (table.length >= mostRows || number > mostRows) throw new TableUnreadable('rows')
      while (table.length < number - 1) table.push([])
      table.push(cells)
    }
    return table
  } catch (error) {
    throw error instanceof TableUnreadable ? error : new TableUnreadable('zip')
  }
}
