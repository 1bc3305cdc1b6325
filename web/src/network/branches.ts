/** What has been read of a tree, page by page, so that only the pages in sight are read again. Pure. */
import type { TreeNode, TreePage } from '@/api/types'

/** One page as it was asked for: `from` is the cursor that it begins after. */
export interface ReadPage {
  from: string
  count: number
  /** Something changed since it was read. */
  stale: boolean
}

/** What has been read of the children of a node. */
export interface Branch {
  nodes: readonly TreeNode[]
  pages: readonly ReadPage[]
  /** Asks for those that follow; null at the end. */
  cursor: string | null
  loading: boolean
  failed: unknown
}

export const emptyBranch: Branch = { nodes: [], pages: [], cursor: null, loading: false, failed: null }

/** The branch with the page that follows what it had. */
export function appended(branch: Branch, read: TreePage): Branch {
  const page = { from: branch.cursor ?? '', count: read.nodes.length, stale: false }
  return { ...branch, nodes: [...branch.nodes, ...read.nodes], pages: [...branch.pages, page], cursor: read.cursor, loading: false, failed: null }
}

/**
 * The branch with one page read anew. When the page no longer ends where the next began, something came or went in
 * between: what follows is forgotten, and read as soon as it comes into sight.
 */
export function replaced(branch: Branch, index: number, read: TreePage): Branch {
  const page = branch.pages[index]
  if (page === undefined) return branch
  const start = branch.pages.slice(0, index).reduce((sum, one) => sum + one.count, 0)
  const fresh = { from: page.from, count: read.nodes.length, stale: false }
  const next = branch.pages[index + 1]
  const fits = next === undefined || next.from === read.cursor
  return {
    ...branch,
    nodes: [...branch.nodes.slice(0, start), ...read.nodes, ...(fits ? branch.nodes.slice(start + page.count) : [])],
    pages: [...branch.pages.slice(0, index), fresh, ...(fits ? branch.pages.slice(index + 1) : [])],
    cursor: next !== undefined && fits ? branch.cursor : read.cursor,
    failed: null,
  }
}

export function outdated(branch: Branch): Branch {
  return { ...branch, pages: branch.pages.map((page) => ({ ...page, stale: true })) }
}

/** Pages to be read again: those of which something is in sight, and one without anything, which has nothing to show. */
export function staleInSight(branch: Branch, sight: ReadonlySet<string>): number[] {
  const found: number[] = []
  let start = 0
  branch.pages.forEach((page, index) => {
    const end = start + page.count
    if (page.stale && (page.count === 0 || branch.nodes.slice(start, end).some((node) => sight.has(node.id)))) found.push(index)
    start = end
  })
  return found
}
