import { describe, expect, test } from 'vitest'

import { flat, length, reach, roundLength } from '@/network/geometry'

describe('the way of a device on a plane', () => {
  test('a degree of latitude is 111 km, a degree of longitude shrinks towards the pole', () => {
    expect(length(flat([{ longitude: 116, latitude: 0 }, { longitude: 116, latitude: 1 }]))).toBeCloseTo(111_320, 0)
    expect(length(flat([{ longitude: 116, latitude: 60 }, { longitude: 117, latitude: 60 }]))).toBeCloseTo(55_660, 0)
  })

  test('east is right and north is up of the middle', () => {
    const [west, east] = flat([{ longitude: 116.3, latitude: 39.9 }, { longitude: 116.4, latitude: 40 }])
    expect(west?.east).toBeLessThan(0)
    expect(east?.east).toBeGreaterThan(0)
    expect(east?.north).toBeGreaterThan(0)
  })

  test('across the date line a way goes on', () => {
    expect(length(flat([{ longitude: 179.9, latitude: 0 }, { longitude: -179.9, latitude: 0 }]))).toBeCloseTo(22_264, 0)
  })

  test('whoever stands still has a frame too, and nothing is cut off', () => {
    expect(reach(flat([{ longitude: 1, latitude: 1 }]), 1.8).north).toBeGreaterThan(0)
    const frame = reach([{ east: 900, north: 10 }, { east: -900, north: -10 }], 1.8)
    expect(frame.east).toBeGreaterThan(900)
    expect(frame.east / frame.north).toBeCloseTo(1.8)
  })

  test('the scale is a round length that fits', () => {
    expect([7, 19, 55, 1999, 0.3].map(roundLength)).toEqual([5, 10, 50, 1000, 0.2])
  })
})
