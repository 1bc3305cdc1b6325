/** A rectangle drawn on a tile, as the standard's DragZoomIn and DragZoomOut want it: pixels of the picture shown. */
import type { SteeringOrder } from './types'

export interface Box {
  left: number
  top: number
  width: number
  height: number
}

/** Where the picture lies in a frame that keeps its proportions (`object-fit: contain`). */
export function pictureIn(frame: { width: number; height: number }, video: { width: number; height: number }): Box {
  if (video.width <= 0 || video.height <= 0 || frame.width <= 0 || frame.height <= 0) return { left: 0, top: 0, ...frame }
  const scale = Math.min(frame.width / video.width, frame.height / video.height)
  const width = video.width * scale
  const height = video.height * scale
  return { left: (frame.width - width) / 2, top: (frame.height - height) / 2, width, height }
}

/** The rectangle between two points, cut to the picture. */
export function between(from: { x: number; y: number }, to: { x: number; y: number }, picture: Box): Box {
  const inX = (x: number) => Math.min(Math.max(x, picture.left), picture.left + picture.width)
  const inY = (y: number) => Math.min(Math.max(y, picture.top), picture.top + picture.height)
  const left = Math.min(inX(from.x), inX(to.x))
  const top = Math.min(inY(from.y), inY(to.y))
  return { left, top, width: Math.abs(inX(to.x) - inX(from.x)), height: Math.abs(inY(to.y) - inY(from.y)) }
}

/** Smaller than this it was a click, not a rectangle. */
const leastPx = 8

export function zoomOrder(drawn: Box, picture: Box, direction: 'in' | 'out'): SteeringOrder | null {
  if (drawn.width < leastPx || drawn.height < leastPx) return null
  return {
    kind: 'drag_zoom',
    direction,
    window_length: Math.round(picture.width),
    window_width: Math.round(picture.height),
    mid_x: Math.round(drawn.left - picture.left + drawn.width / 2),
    mid_y: Math.round(drawn.top - picture.top + drawn.height / 2),
    length_x: Math.round(drawn.width),
    length_y: Math.round(drawn.height),
  }
}
