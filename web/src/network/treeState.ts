/** A tree as a page shows it: which way it is arranged, what is sought, what stands open, and the rows that come of it. */
import { computed, ref, watch, type Ref } from 'vue'

import type { TreeView } from '@/api/types'
import type { Branch } from '@/network/branches'
import { foundRows, treeRows, type SelectableRow, type TreeRow } from '@/network/treeRows'
import { useTreeSource } from '@/network/treeSource'

export const opens = (row: SelectableRow) => row.kind === 'device' || row.kind === 'folder' || (row.node?.has_children ?? false)

/**
 * @param openFromStart a tree by device with no more roots is shown open from the start.
 */
export function useTree(view: Ref<TreeView>, openFromStart: number) {
  const source = useTreeSource(view)
  const { found } = source
  const search = ref('')
  const closedByHand = ref(new Set<string>())
  const openedByHand = ref(new Set<string>())

  const branches = computed(() => {
    const prefix = `${view.value}/`
    const own = new Map<string, Branch>()
    for (const [key, branch] of source.kept.value) if (key.startsWith(prefix)) own.set(key.slice(prefix.length), branch)
    return own
  })
  const root = computed(() => branches.value.get(''))
  const opened = computed(() => {
    const open = new Set(openedByHand.value)
    const roots = root.value?.nodes ?? []
    const small = view.value === 'device' && root.value?.cursor === null && roots.length <= openFromStart
    for (const node of roots) if (small || (node.device?.problems.length ?? 0) > 0) open.add(node.id)
    for (const key of closedByHand.value) open.delete(key)
    return open
  })
  const rows = computed(() => (found.value === null ? treeRows(branches.value, opened.value) : foundRows(found.value, opened.value, branches.value)))
  const isRead = computed(() => root.value !== undefined && (!root.value.loading || root.value.nodes.length > 0))
  const isEmpty = computed(() => isRead.value && found.value === null && root.value?.failed === null && root.value.nodes.length === 0)
  const nothingFound = computed(() => found.value !== null && !source.searching.value && rows.value.length === 0)

  watch(search, (text) => source.search(text))
  watch(view, () => void source.open(''))
  // Whatever is shown open needs its children; a page that failed is asked for again when it is opened anew.
  watch(rows, (now) => {
    for (const row of now) {
      if ((row.kind === 'device' || row.kind === 'folder' || row.kind === 'channel') && row.open && row.node?.has_children && !branches.value.has(row.node.id)) void source.open(row.node.id)
    }
  }, { immediate: true })

  function toggle(row: SelectableRow, open?: boolean): void {
    const [into, outOf] = (open ?? !row.open) ? [openedByHand, closedByHand] : [closedByHand, openedByHand]
    into.value = new Set(into.value).add(row.key)
    const rest = new Set(outOf.value)
    rest.delete(row.key)
    outOf.value = rest
  }

  function showMore(row: TreeRow): void {
    if (row.kind !== 'more') return
    if (found.value === null) void source.more(row.parent)
    else void source.moreFound()
  }

  /** To be told which rows are drawn, so that they are kept fresh. */
  function see(drawn: readonly TreeRow[]): void {
    source.see(drawn.flatMap((row) => (row.kind === 'device' || row.kind === 'folder' ? [row.node.id] : row.kind === 'channel' ? [row.channel.id] : [])))
  }

  return { source, branches, search, rows, isRead, isEmpty, nothingFound, toggle, showMore, see }
}
