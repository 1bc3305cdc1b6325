/** The camera tree as a flat list of visible rows. Pure. */
import type { Channel, Device, Problem } from '@/api/types'

export type Mark = 'good' | 'off' | 'problem' | 'unknown'

export type TreeRow =
  | { kind: 'device'; key: string; device: Device; open: boolean; mark: Mark }
  | { kind: 'note'; key: string; device: Device; problem: Problem | null }
  | { kind: 'channel'; key: string; device: Device; channel: Channel; mark: Mark; word: ChannelWord }
  | { kind: 'hint'; key: string; device: Device; hint: 'noChannels' | 'catalogueRunning' }

/** Rows that can be chosen; notes only explain the device above them. */
export type SelectableRow = Extract<TreeRow, { kind: 'device' | 'channel' }>

export type ChannelWord = 'on' | 'off' | 'unknown' | 'vanished' | 'deviceOffline'

const deviceMarks = { online: 'good', offline: 'off', problem: 'problem' } as const
const channelMarks: Record<ChannelWord, Mark> = { on: 'good', off: 'off', unknown: 'unknown', vanished: 'off', deviceOffline: 'off' }

/** A device with trouble may still be there: its cameras can be watched as long as it is online. */
export function channelWord(device: Device, channel: Channel): ChannelWord {
  if (channel.vanished_at !== null) return 'vanished'
  return device.online ? channel.status : 'deviceOffline'
}

function holds(query: string, ...texts: (string | null)[]): boolean {
  return texts.some((text) => text?.toLowerCase().includes(query))
}

/**
 * @param opened ids of devices shown open; a search opens whatever has a match of its own channels.
 */
export function treeRows(devices: readonly Device[], opened: ReadonlySet<string>, search: string): TreeRow[] {
  const query = search.trim().toLowerCase()
  const rows: TreeRow[] = []
  for (const device of devices) {
    const own = query === '' || holds(query, device.name, device.id, device.address)
    const watchable = cameras(device)
    const matching = query === '' ? watchable : watchable.filter((one) => holds(query, one.name, one.gb_id))
    if (!own && matching.length === 0) continue
    const open = opened.has(device.id) || (query !== '' && matching.length > 0)
    rows.push({ kind: 'device', key: device.id, device, open, mark: deviceMarks[device.state] })
    if (!open) continue
    if (!device.online) rows.push({ kind: 'note', key: `${device.id}/absent`, device, problem: null })
    for (const problem of device.problems) rows.push({ kind: 'note', key: `${device.id}/${problem.code}`, device, problem })
    const shown = own && matching.length === 0 ? watchable : matching
    for (const channel of shown) {
      const word = channelWord(device, channel)
      rows.push({ kind: 'channel', key: channel.id, device, channel, mark: channelMarks[word], word })
    }
    if (watchable.length === 0) {
      const hint = device.catalogue.state === 'running' ? 'catalogueRunning' : 'noChannels'
      rows.push({ kind: 'hint', key: `${device.id}/hint`, device, hint })
    }
  }
  return rows
}

/** What can be watched; a catalogue also lists organisations, devices and alarm inputs. */
export function cameras(device: Device): Channel[] {
  return device.channels.filter((channel) => channel.kind === 'video')
}

export interface TreeCounts {
  all: number
  online: number
  problems: number
}

export function counts(devices: readonly Device[]): TreeCounts {
  return {
    all: devices.length,
    online: devices.filter((device) => device.online).length,
    problems: devices.filter((device) => device.problems.length > 0).length,
  }
}
