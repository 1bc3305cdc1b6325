/** Keys of the duty screen. Pure: a key press in, a command out. */

export type Layout = 1 | 4 | 9 | 16
export const layouts: readonly Layout[] = [1, 4, 9, 16]

export type Direction = 'left' | 'right' | 'up' | 'down'

export type WallCommand =
  | { type: 'layout'; layout: Layout }
  | { type: 'move'; direction: Direction }
  | { type: 'swap'; direction: Direction }
  | { type: 'listen'; also: boolean }
  | { type: 'full' | 'close' | 'extend' | 'panel' | 'help' | 'search' | 'tree' | 'wall' | 'steer' | 'replay' }

export interface KeyPress {
  key: string
  shiftKey: boolean
  ctrlKey: boolean
  altKey: boolean
  metaKey: boolean
}

const arrows: Record<string, Direction> = { ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down' }

/** 6 stands for sixteen: one key, no chord. */
const layoutKeys: Record<string, Layout> = { '1': 1, '4': 4, '9': 9, '6': 16 }

const letters: Record<string, WallCommand> = {
  f: { type: 'full' },
  e: { type: 'extend' },
  p: { type: 'panel' },
  t: { type: 'tree' },
  w: { type: 'wall' },
  s: { type: 'steer' },
  r: { type: 'replay' },
  '?': { type: 'help' },
  '？': { type: 'help' }, // full-width, as a Chinese input method types it
  '/': { type: 'search' },
  Delete: { type: 'close' },
  Backspace: { type: 'close' },
}

/** The command of a key press outside text fields, or null. Chords with Ctrl, Alt or Meta belong to the browser. */
export function commandOf(press: KeyPress): WallCommand | null {
  if (press.ctrlKey || press.altKey || press.metaKey) return null
  const direction = arrows[press.key]
  if (direction !== undefined) return { type: press.shiftKey ? 'swap' : 'move', direction }
  if (press.key.toLowerCase() === 'm') return { type: 'listen', also: press.shiftKey }
  const layout = layoutKeys[press.key]
  if (layout !== undefined) return { type: 'layout', layout }
  return letters[press.key.length === 1 ? press.key.toLowerCase() : press.key] ?? null
}

/** The tile next to `from` in a square wall; staying put at the edges. */
export function neighbour(from: number, direction: Direction, layout: Layout): number {
  const side = Math.sqrt(layout)
  const row = Math.floor(from / side)
  const column = from % side
  switch (direction) {
    case 'left':
      return column > 0 ? from - 1 : from
    case 'right':
      return column < side - 1 ? from + 1 : from
    case 'up':
      return row > 0 ? from - side : from
    case 'down':
      return row < side - 1 ? from + side : from
  }
}

/** Whether typing goes somewhere else: into a field, a menu or an open dialog. */
export function typingIn(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  if (target.isContentEditable || target.closest('[role="dialog"], [role="menu"]') !== null) return true
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement
}
