/** Paints the timeline of many cameras on a canvas: one row each, an axis above, where playback stands over all. */
import type { View } from '@/recordings/timeline'

import { marks, shareOf, type Mark } from './scale'
import type { Line } from './useBands'

export const axisPx = 24
export const rowPx = 22
/** What is being written reaches to now between two readings of the bands. */
const renewedMs = 30_000

export interface Scene {
  view: View
  width: number
  rows: readonly { line: Line | undefined; device: Line | undefined; lead: boolean }[]
  position: number | null
  hover: number | null
  now: number
  span: { start: number; end: number } | null
  offsetMs: number
  words: (mark: Mark) => string
  hoverText: (at: number) => string
}

const colours = {
  ground: '#090d11', row: '#10161c', lead: '#172029', line: '#25313c', tick: '#3a4a58', text: '#8fa1af', strong: '#e6edf2',
  recorded: '#2f8ea0', open: '#6cc3d3', device: '#6d7f5c', gap: '#8a3b33', event: '#f2b84b', future: '#0d1217', position: '#ffffff', hover: '#8fa1af',
  span: 'rgb(242 184 75 / 22%)',
}

export function heightOf(rows: number): number {
  return axisPx + Math.max(1, rows) * rowPx
}

export function paint(canvas: CanvasRenderingContext2D, scene: Scene): void {
  const { width, view, rows } = scene
  const height = heightOf(rows.length)
  const x = (at: number) => shareOf(at, view) * width
  canvas.clearRect(0, 0, width, height)
  canvas.fillStyle = colours.ground
  canvas.fillRect(0, 0, width, height)
  canvas.font = '11px system-ui, sans-serif'
  axis(canvas, scene, x, height)
  rows.forEach((row, index) => {
    const top = axisPx + index * rowPx
    canvas.fillStyle = row.lead ? colours.lead : colours.row
    canvas.fillRect(0, top, width, rowPx - 1)
    const bands = (spans: readonly (readonly number[])[] | undefined, colour: string, y: number, tall: number, least: number) => {
      canvas.fillStyle = colour
      for (const [from = 0, to = 0] of spans ?? []) {
        if (to < view.from || from > view.to) continue
        const left = Math.max(0, x(from))
        canvas.fillRect(left, y, Math.max(least, Math.min(width, x(to)) - left), tall)
      }
    }
    bands(row.line?.gaps, colours.gap, top + 8, 5, 1)
    bands(row.line?.recorded, colours.recorded, top + 4, 12, 1)
    bands(row.line?.open.map(([from = 0, to = 0]) => [from, Math.max(to, scene.now - to < renewedMs ? scene.now : to)]), colours.open, top + 4, 12, 1)
    bands(row.device?.device, colours.device, top + 17, 3, 1)
    bands(row.line?.events, colours.event, top + 1, 3, 2)
  })
  overlay(canvas, scene, x, height)
}

function axis(canvas: CanvasRenderingContext2D, scene: Scene, x: (at: number) => number, height: number): void {
  const found = marks(scene.view, Math.max(3, Math.floor(scene.width / 84)), scene.offsetMs)
  canvas.textBaseline = 'middle'
  for (const mark of found) {
    const at = Math.round(x(mark.at)) + 0.5
    canvas.strokeStyle = mark.kind === 'day' ? colours.text : colours.tick
    canvas.beginPath()
    canvas.moveTo(at, axisPx - 5)
    canvas.lineTo(at, height)
    canvas.stroke()
    const text = scene.words(mark)
    const wide = canvas.measureText(text).width
    if (at - wide / 2 < 2 || at + wide / 2 > scene.width - 2) continue
    canvas.fillStyle = mark.kind === 'day' ? colours.strong : colours.text
    canvas.fillText(text, at - wide / 2, 10)
  }
}

function overlay(canvas: CanvasRenderingContext2D, scene: Scene, x: (at: number) => number, height: number): void {
  const { width, now, view, span, hover, position } = scene
  if (now < view.to) {
    canvas.fillStyle = colours.future
    const from = Math.max(0, x(now))
    canvas.fillRect(from, axisPx, width - from, height - axisPx)
  }
  if (span !== null) {
    canvas.fillStyle = colours.span
    canvas.fillRect(x(span.start), axisPx, Math.max(1, x(span.end) - x(span.start)), height - axisPx)
  }
  if (hover !== null) {
    const at = Math.round(x(hover)) + 0.5
    canvas.strokeStyle = colours.hover
    canvas.setLineDash([3, 3])
    canvas.beginPath()
    canvas.moveTo(at, axisPx)
    canvas.lineTo(at, height)
    canvas.stroke()
    canvas.setLineDash([])
    label(canvas, scene.hoverText(hover), at, width)
  }
  if (position !== null && position >= view.from && position <= view.to) {
    const at = Math.round(x(position))
    canvas.fillStyle = colours.position
    canvas.fillRect(at - 1, axisPx - 4, 2, height - axisPx + 4)
    canvas.beginPath()
    canvas.moveTo(at - 6, axisPx - 9)
    canvas.lineTo(at + 6, axisPx - 9)
    canvas.lineTo(at, axisPx - 1)
    canvas.fill()
  }
}

function label(canvas: CanvasRenderingContext2D, text: string, at: number, width: number): void {
  const wide = canvas.measureText(text).width + 10
  const left = Math.min(Math.max(at - wide / 2, 0), width - wide)
  canvas.fillStyle = colours.line
  canvas.fillRect(left, 1, wide, 18)
  canvas.fillStyle = colours.strong
  canvas.fillText(text, left + 5, 10)
}
