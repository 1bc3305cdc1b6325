/** The tree as a flat list of visible rows, whichever way it is arranged. Pure. */
import type { Channel, Device, Problem, TreeFound, TreeNode } from '@/api/types'
import { emptyBranch, type Branch } from '@/network/branches'

export type Mark = 'good' | 'off' | 'problem' | 'unknown'
export type ChannelWord = 'on' | 'off' | 'unknown' | 'vanished' | 'deviceOffline'

interface Placed {
  key: string
  /** 1 for the roots, as aria-level counts. */
  level: number
  parentKey: string | null
  height?: number
}

export type TreeRow =
  | (Placed & { kind: 'device'; node: TreeNode; device: Device; open: boolean; mark: Mark })
  | (Placed & { kind: 'folder'; node: TreeNode; open: boolean })
  | (Placed & { kind: 'channel'; channel: Channel; mark: Mark; word: ChannelWord; node: TreeNode | null; open: boolean })
  | (Placed & { kind: 'note'; device: Device; problem: Problem | null })
  | (Placed & { kind: 'hint'; hint: 'noChannels' | 'catalogueRunning' | 'loading' | 'failed' })
  | (Placed & { kind: 'more'; parent: string })

/** Rows that can be chosen; the others only explain or stand for what is not read yet. */
export type SelectableRow = Extract<TreeRow, { kind: 'device' | 'folder' | 'channel' }>

export function isSelectable(row: TreeRow): row is SelectableRow {
  return row.kind === 'device' || row.kind === 'folder' || row.kind === 'channel'
}

const deviceMarks = { online: 'good', offline: 'off', problem: 'problem' } as const
const channelMarks: Record<ChannelWord, Mark> = { on: 'good', off: 'off', unknown: 'unknown', vanished: 'off', deviceOffline: 'off' }
/** A note may wrap; this is only the guess before it is measured. */
const noteHeight = 52

/** A device with trouble may still be there: its cameras can be watched as long as it is online. */
export function channelWord(online: boolean, channel: Pick<Channel, 'status' | 'vanished_at'>): ChannelWord {
  if (channel.vanished_at !== null) return 'vanished'
  return online ? channel.status : 'deviceOffline'
}

function channelRow(channel: Channel, online: boolean, level: number, parentKey: string | null, node: TreeNode | null, open: boolean): TreeRow {
  const word = channelWord(online, channel)
  return { kind: 'channel', key: parentKey === null ? channel.id : `${parentKey}>${channel.id}`, level, parentKey, channel, mark: channelMarks[word], word, node, open }
}

function notes(device: Device, level: number, parentKey: string): TreeRow[] {
  const absent: TreeRow[] = device.online ? [] : [{ kind: 'note', key: `${parentKey}/absent`, level, parentKey, device, problem: null, height: noteHeight }]
  return [...absent, ...device.problems.map((problem): TreeRow => ({ kind: 'note', key: `${parentKey}/${problem.code}`, level, parentKey, device, problem, height: noteHeight }))]
}

/**
 * @param branches what has been read, by the id of the parent; '' holds the roots.
 * @param opened keys of rows shown open.
 */
export function treeRows(branches: ReadonlyMap<string, Branch>, opened: ReadonlySet<string>): TreeRow[] {
  const rows: TreeRow[] = []

  function add(parent: string, level: number, parentKey: string | null): void {
    const branch = branches.get(parent)
    if (branch === undefined || (branch.loading && branch.nodes.length === 0)) {
      rows.push({ kind: 'hint', key: `${parentKey ?? ''}/loading`, level, parentKey, hint: 'loading' })
      return
    }
    if (branch.failed !== null && branch.nodes.length === 0) rows.push({ kind: 'hint', key: `${parentKey ?? ''}/failed`, level, parentKey, hint: 'failed' })
    for (const node of branch.nodes) addNode(node, level, parentKey)
    if (branch.cursor !== null) rows.push({ kind: 'more', key: `${parentKey ?? ''}/more/${branch.nodes.length}`, level, parentKey, parent })
  }

  function addNode(node: TreeNode, level: number, parentKey: string | null): void {
    const key = parentKey === null ? node.id : `${parentKey}>${node.id}`
    const open = opened.has(key)
    if (node.kind === 'device' && node.device !== null) {
      rows.push({ kind: 'device', key, level, parentKey, node, device: node.device, open, mark: deviceMarks[node.device.state] })
      if (open) {
        rows.push(...notes(node.device, level + 1, key))
        if (node.has_children) add(node.id, level + 1, key)
        else rows.push({ kind: 'hint', key: `${key}/hint`, level: level + 1, parentKey: key, hint: node.device.catalogue.state === 'running' ? 'catalogueRunning' : 'noChannels' })
      }
    } else if (node.channel !== null && node.kind === 'channel') {
      if (node.channel.kind === 'video') rows.push(channelRow(node.channel, node.online ?? false, level, parentKey, node, open))
      if (open && node.has_children) add(node.id, level + 1, key)
    } else {
      rows.push({ kind: 'folder', key, level, parentKey, node, open })
      if (open) add(node.id, level + 1, key)
    }
  }

  add('', 1, null)
  return rows
}

/** What a search found: every device with those of its cameras that fit below it. */
export function foundRows(found: TreeFound, opened: ReadonlySet<string>, branches: ReadonlyMap<string, Branch>): TreeRow[] {
  const rows: TreeRow[] = []
  const byDevice = new Map<string, Channel[]>()
  for (const channel of found.channels) byDevice.set(channel.device_id, [...(byDevice.get(channel.device_id) ?? []), channel])
  for (const node of found.devices) {
    const { device } = node
    if (device === null) continue
    const fitting = byDevice.get(node.id) ?? []
    const open = fitting.length > 0 || opened.has(node.id)
    rows.push({ kind: 'device', key: node.id, level: 1, parentKey: null, node, device, open, mark: deviceMarks[device.state] })
    if (!open) continue
    rows.push(...notes(device, 2, node.id))
    if (fitting.length > 0) for (const channel of fitting) rows.push(channelRow(channel, device.online, 2, node.id, null, false))
    else rows.push(...treeRows(new Map([['', branches.get(node.id) ?? { ...emptyBranch, loading: true }]]), new Set()).map((row) => ({ ...row, key: `${node.id}>${row.key}`, level: 2, parentKey: node.id })))
  }
  if (found.cursor !== null) rows.push({ kind: 'more', key: `/more/${found.channels.length}`, level: 1, parentKey: null, parent: '' })
  return rows
}
