/** Reads the tree a level and a page at a time, and again what is in sight whenever the server says that it changed. */
import { onMounted, onUnmounted, ref, shallowRef, type Ref } from 'vue'

import { answer, api } from '@/api/client'
import { RESYNC } from '@/api/events'
import type { TreeCounts, TreeFound, TreeNode, TreeView } from '@/api/types'
import { appended, emptyBranch, outdated, replaced, staleInSight, type Branch } from '@/network/branches'
import { useDevices } from '@/stores/devices'
import { useFeed } from '@/stores/feed'

const pageSize = 200
/** Changes come in bursts, milliseconds. */
const gatherMs = 400
/** What was scrolled past within this is not read again, milliseconds. */
const restMs = 120
const typingMs = 180

const topics = new Set(['device.changed', 'channel.changed', 'session.changed', 'group.changed', RESYNC])

export function useTreeSource(view: Ref<TreeView>) {
  const devices = useDevices()
  /** By view and parent: `device/`, `device/3402…`. */
  const kept = shallowRef(new Map<string, Branch>())
  const counts = shallowRef<TreeCounts | null>(null)
  const failed = shallowRef<unknown>(null)
  const found = shallowRef<TreeFound | null>(null)
  const searching = ref(false)
  let sought = ''
  let typing: number | undefined
  let soon: number | undefined
  let sight: ReadonlySet<string> = new Set()
  let resting: number | undefined
  let unlisten: () => void = () => undefined

  function put(of: TreeView, parent: string, branch: Branch): void {
    kept.value = new Map(kept.value).set(`${of}/${parent}`, branch)
  }

  const branchOf = (of: TreeView, parent: string) => kept.value.get(`${of}/${parent}`)

  function remember(nodes: readonly TreeNode[]): void {
    for (const node of nodes) {
      if (node.channel !== null) devices.know(node.channel, node.online ?? false)
      if (node.device !== null) devices.knowDevice(node.device)
    }
  }

  async function page(of: TreeView, parent: string, cursor: string) {
    const read = await answer(api.GET('/api/tree/nodes', { params: { query: { view: of, parent, cursor, limit: pageSize } } }))
    remember(read.nodes)
    return read
  }

  /** The page that follows what was read of a node's children. */
  async function readNext(of: TreeView, parent: string, before: Branch): Promise<void> {
    put(of, parent, { ...before, loading: true, failed: null })
    try {
      const read = await page(of, parent, before.cursor ?? '')
      put(of, parent, appended(branchOf(of, parent) ?? emptyBranch, read))
      failed.value = null
    } catch (error) {
      put(of, parent, { ...(branchOf(of, parent) ?? emptyBranch), loading: false, failed: error })
      if (parent === '') failed.value = error
    }
  }

  /** The first page of a node's children, once. */
  async function open(parent: string): Promise<void> {
    const of = view.value
    const branch = branchOf(of, parent)
    if (branch === undefined || (!branch.loading && branch.failed !== null)) await readNext(of, parent, branch ?? emptyBranch)
  }

  async function more(parent: string): Promise<void> {
    const of = view.value
    const branch = branchOf(of, parent)
    if (branch !== undefined && !branch.loading && branch.cursor !== null) await readNext(of, parent, branch)
  }

  /** One page again, unless what stands there moved while it was read. */
  async function readAgain(of: TreeView, parent: string, index: number): Promise<void> {
    const from = branchOf(of, parent)?.pages[index]?.from
    if (from === undefined) return
    try {
      const read = await page(of, parent, from)
      const now = branchOf(of, parent)
      if (now !== undefined && !now.loading && now.pages[index]?.from === from) put(of, parent, replaced(now, index, read))
      if (parent === '') failed.value = null
    } catch (error) {
      if (parent === '') failed.value = error
      else {
        // A node that is gone has no children any more.
        const next = new Map(kept.value)
        next.delete(`${of}/${parent}`)
        kept.value = next
      }
    }
  }

  async function readCounts(): Promise<void> {
    try {
      counts.value = await answer(api.GET('/api/tree/counts'))
    } catch (error) {
      failed.value = error
    }
  }

  const parentsShown = () => {
    const prefix = `${view.value}/`
    return [...kept.value.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length))
  }

  async function readStale(): Promise<void> {
    const of = view.value
    for (const parent of parentsShown()) {
      const branch = branchOf(of, parent)
      // from the end: a page that no longer fits what follows takes that with it
      if (branch !== undefined && !branch.loading) for (const index of staleInSight(branch, sight).toReversed()) await readAgain(of, parent, index)
    }
  }

  /** Reads again what is in sight; the rest when it comes into sight. */
  async function refresh(): Promise<void> {
    void readCounts()
    if (sought !== '') void readFound(sought)
    kept.value = new Map([...kept.value].map(([key, branch]) => [key, outdated(branch)]))
    await readStale()
  }

  function refreshSoon(): void {
    soon ??= window.setTimeout(() => {
      void refresh().finally(() => (soon = undefined))
    }, gatherMs)
  }

  /** Says which nodes are in sight, by their ids. */
  function see(ids: Iterable<string>): void {
    sight = new Set(ids)
    window.clearTimeout(resting)
    resting = window.setTimeout(() => void readStale(), restMs)
  }

  async function readFound(text: string, cursor = ''): Promise<void> {
    try {
      const read = await answer(api.GET('/api/tree/search', { params: { query: { q: text, cursor, limit: pageSize } } }))
      if (sought !== text) return
      remember(read.devices)
      const online = new Map(read.devices.map((node) => [node.id, node.online ?? false]))
      for (const channel of read.channels) devices.know(channel, online.get(channel.device_id) ?? false)
      const before = cursor === '' ? null : found.value
      const known = new Set(before?.devices.map((node) => node.id))
      found.value = {
        devices: [...(before?.devices ?? []), ...read.devices.filter((node) => !known.has(node.id))],
        channels: [...(before?.channels ?? []), ...read.channels],
        cursor: read.cursor,
      }
      failed.value = null
    } catch (error) {
      if (sought === text) failed.value = error
    } finally {
      if (sought === text) searching.value = false
    }
  }

  /** Searches for what was typed once typing rests for a moment; nothing typed shows the tree again. */
  function search(text: string): void {
    sought = text.trim()
    window.clearTimeout(typing)
    if (sought === '') {
      found.value = null
      searching.value = false
      return
    }
    searching.value = true
    typing = window.setTimeout(() => void readFound(sought), typingMs)
  }

  /** Searches at once, for whoever pressed Enter. */
  async function searchNow(): Promise<void> {
    window.clearTimeout(typing)
    if (sought !== '') await readFound(sought)
  }

  async function moreFound(): Promise<void> {
    const cursor = found.value?.cursor
    if (cursor) await readFound(sought, cursor)
  }

  onMounted(() => {
    void readCounts()
    void open('')
    unlisten = useFeed().listen((event) => {
      if (topics.has(event.topic)) refreshSoon()
    })
  })
  onUnmounted(() => {
    unlisten()
    window.clearTimeout(soon)
    window.clearTimeout(typing)
    window.clearTimeout(resting)
  })

  return { kept, counts, failed, found, searching, open, more, refresh, see, search, searchNow, moreFound }
}
