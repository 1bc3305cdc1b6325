/** Which tile shows what: pure arithmetic on the list of slots. An empty slot is null. */
import type { Layout } from './keymap'

export type Slots<Tile> = (Tile | null)[]

export function emptySlots<Tile>(layout: Layout): Slots<Tile> {
  return Array.from({ length: layout }, () => null)
}

/** Where a camera goes that was opened without pointing: the focused slot when free, else the next free one, else the focused one. */
export function landing<Tile>(slots: Slots<Tile>, focused: number): number {
  if (slots[focused] === null) return focused
  for (let step = 1; step < slots.length; step += 1) {
    const candidate = (focused + step) % slots.length
    if (slots[candidate] === null) return candidate
  }
  return focused
}

export function swapped<Tile>(slots: Slots<Tile>, from: number, to: number): Slots<Tile> {
  const next = [...slots]
  next[from] = slots[to] ?? null
  next[to] = slots[from] ?? null
  return next
}

export interface Resized<Tile> {
  slots: Slots<Tile>
  /** Tiles for which there is no room any more. */
  closed: Tile[]
  focused: number
}

/**
 * Changes the number of slots. Growing keeps every place. Shrinking keeps the focused tile first, then the others
 * in order, moved together; what does not fit is closed.
 */
export function resized<Tile>(slots: Slots<Tile>, layout: Layout, focused: number): Resized<Tile> {
  if (layout >= slots.length) {
    return { slots: [...slots, ...emptySlots<Tile>(layout).slice(slots.length)], closed: [], focused }
  }
  const inPlace = slots.slice(layout).every((tile) => tile === null) && focused < layout
  if (inPlace) return { slots: slots.slice(0, layout), closed: [], focused }
  const own = slots[focused] ?? null
  const others = slots.filter((tile, index): tile is Tile => tile !== null && index !== focused)
  const room = own === null ? layout : layout - 1
  const staying = new Set<Tile>([...(own === null ? [] : [own]), ...others.slice(0, room)])
  const kept = slots.filter((tile): tile is Tile => tile !== null && staying.has(tile))
  const next: Slots<Tile> = [...kept, ...emptySlots<Tile>(layout)].slice(0, layout)
  const place = own === null ? 0 : kept.indexOf(own)
  return { slots: next, closed: others.slice(room), focused: place }
}
