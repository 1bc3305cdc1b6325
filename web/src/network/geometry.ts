/** Positions on a plane small enough to be flat: metres east and north of the middle. Pure. */

export interface Degrees {
  longitude: number
  latitude: number
}

export interface Metres {
  east: number
  north: number
}

/** Metres of a degree of latitude; of longitude at the equator. */
const degreeM = 111_320
/** Whoever stands still is drawn in a frame of this size. */
const leastSpanM = 40

export function flat(places: readonly Degrees[]): Metres[] {
  const first = places[0]
  if (first === undefined) return []
  const middle = (low: number, high: number) => (low + high) / 2
  const range = (values: number[]) => middle(values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b)))
  const latitude = range(places.map((one) => one.latitude))
  // across the date line a way goes on, it does not go round the world
  const near = places.map((one) => one.longitude + 360 * Math.round((first.longitude - one.longitude) / 360))
  const longitude = range(near)
  const shrink = Math.cos((latitude * Math.PI) / 180)
  return places.map((one, index) => ({ east: ((near[index] ?? 0) - longitude) * degreeM * shrink, north: (one.latitude - latitude) * degreeM }))
}

/** How far from the middle the frame goes, so that everything fits and keeps a margin. */
export function reach(points: readonly Metres[], aspect: number): Metres {
  const east = points.reduce((most, one) => Math.max(most, Math.abs(one.east)), leastSpanM / 2)
  const north = points.reduce((most, one) => Math.max(most, Math.abs(one.north)), leastSpanM / 2)
  const half = Math.max(north, east / aspect) * 1.12
  return { east: half * aspect, north: half }
}

export function length(points: readonly Metres[]): number {
  return points.reduce((sum, one, index) => {
    const before = points[index - 1]
    return before === undefined ? 0 : sum + Math.hypot(one.east - before.east, one.north - before.north)
  }, 0)
}

/** A round length of at most `most` metres: 1, 2 or 5 and zeros. */
export function roundLength(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most))
  return power * ([5, 2, 1].find((one) => one * power <= most) ?? 1)
}
