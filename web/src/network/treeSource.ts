/** Reads the tree a level and a page at a time, and again what is shown whenever the server says that it changed. */
import { onMounted, onUnmounted, ref, shallowRef, type Ref } from 'vue'

import { answer, api } from '@/api/client'
import { RESYNC } from '@/api/events'
import type { TreeCounts, TreeFound, TreeNode, TreeView } from '@/api/types'
import type { Branch } from '@/network/treeRows'
import { useDevices } from '@/stores/devices'
import { useFeed } from '@/stores/feed'

const pageSize = 200
const largestPage = 500
/** Changes come in bursts; the more is shown, the rarer it is read again, milliseconds. */
const gatherMs = 400
const gatherManyMs = 5000
const many = 1000
const typingMs = 180

const empty: Branch = { nodes: [], cursor: null, loading: false, failed: null }
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
  let unlisten: () => void = () => undefined

  function put(of: TreeView, parent: string, change: Partial<Branch>): void {
    const next = new Map(kept.value)
    next.set(`${of}/${parent}`, { ...(next.get(`${of}/${parent}`) ?? empty), ...change })
    kept.value = next
  }

  function remember(nodes: readonly TreeNode[]): void {
    for (const node of nodes) {
      if (node.channel !== null) devices.know(node.channel, node.online ?? false)
      if (node.device !== null) devices.knowDevice(node.device)
    }
  }

  async function page(of: TreeView, parent: string, cursor: string, limit: number) {
    const read = await answer(api.GET('/api/tree/nodes', { params: { query: { view: of, parent, cursor, limit } } }))
    remember(read.nodes)
    return read
  }

  /** The first page of a node's children, once. */
  async function open(parent: string): Promise<void> {
    const of = view.value
    const branch = kept.value.get(`${of}/${parent}`)
    if (branch !== undefined && (branch.loading || branch.failed === null)) return
    put(of, parent, { loading: true, failed: null })
    try {
      const read = await page(of, parent, '', pageSize)
      put(of, parent, { nodes: read.nodes, cursor: read.cursor, loading: false })
      failed.value = null
    } catch (error) {
      put(of, parent, { loading: false, failed: error })
      if (parent === '') failed.value = error
    }
  }

  async function more(parent: string): Promise<void> {
    const of = view.value
    const branch = kept.value.get(`${of}/${parent}`)
    if (branch === undefined || branch.loading || branch.cursor === null) return
    put(of, parent, { loading: true })
    try {
      const read = await page(of, parent, branch.cursor, pageSize)
      put(of, parent, { nodes: [...branch.nodes, ...read.nodes], cursor: read.cursor, loading: false })
    } catch (error) {
      put(of, parent, { loading: false, failed: error })
    }
  }

  /** Reads again as much of a node's children as there was. */
  async function again(parent: string): Promise<void> {
    const of = view.value
    const before = kept.value.get(`${of}/${parent}`)
    if (before === undefined || before.loading) return
    const wanted = Math.max(before.nodes.length, pageSize)
    try {
      let nodes: readonly TreeNode[] = []
      let cursor: string | null = ''
      while (cursor !== null && nodes.length < wanted) {
        const read = await page(of, parent, cursor, Math.min(largestPage, wanted - nodes.length))
        nodes = [...nodes, ...read.nodes]
        cursor = read.cursor
      }
      put(of, parent, { nodes, cursor, failed: null })
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

  function parentsShown(): string[] {
    const prefix = `${view.value}/`
    return [...kept.value.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length))
  }

  async function refresh(): Promise<void> {
    void readCounts()
    if (sought !== '') void readFound(sought)
    for (const parent of parentsShown()) await again(parent)
  }

  function refreshSoon(): void {
    if (soon !== undefined) return
    const loaded = parentsShown().reduce((sum, parent) => sum + (kept.value.get(`${view.value}/${parent}`)?.nodes.length ?? 0), 0)
    soon = window.setTimeout(() => {
      void refresh().finally(() => (soon = undefined))
    }, loaded > many ? gatherManyMs : gatherMs)
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
  })

  return { kept, counts, failed, found, searching, open, more, again, refresh, search, searchNow, moreFound }
}
