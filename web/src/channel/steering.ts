/**
 * Steering one camera by hand: what is pressed now, sent one after the other, renewed while it lasts, and always stopped.
 *
 * Requests never overtake each other: a late movement behind its stop would leave the camera turning. A stop that does
 * not get through is tried again; the server stops a movement that is not renewed for two seconds anyway.
 */
import { asApiError, type ApiError } from '@/api/errors'

import type { SteeringLease, SteerVector } from './types'

export const still: SteerVector = { pan: 0, tilt: 0, zoom: 0, focus: 0, aperture: 0 }

export const renewEveryMs = 700
const stopAttempts = 4
const stopAgainMs = 300

export interface SteeringDoor {
  steer: (vector: SteerVector) => Promise<SteeringLease>
  /** Stops and lets others steer; must work while the page is being left. */
  release: () => Promise<void>
  held: (lease: SteeringLease) => void
  /** A movement or stop that was refused or did not arrive. */
  failed: (error: ApiError, stopping: boolean) => void
}

export function moving(vector: SteerVector): boolean {
  return Object.values(vector).some((value) => value !== 0)
}

export class Steering {
  private readonly door: SteeringDoor
  private wanted: SteerVector = still
  private sent: SteerVector = still
  private busy = false
  private renewal: number | undefined
  private touched = false

  constructor(door: SteeringDoor) {
    this.door = door
  }

  /** Whether the camera may be moving because of us. */
  get active(): boolean {
    return moving(this.wanted) || moving(this.sent)
  }

  /** Move like this from now on; `still` stops. */
  want(vector: SteerVector): void {
    this.wanted = vector
    window.clearInterval(this.renewal)
    if (moving(vector)) this.renewal = window.setInterval(() => void this.send(true), renewEveryMs)
    void this.send(false)
  }

  /** Stops whatever moves and gives the camera back. For leaving: the tab is hidden, the tile closed, the grant over. */
  release(): void {
    window.clearInterval(this.renewal)
    const steered = this.touched
    this.wanted = still
    this.touched = false
    if (!steered) return
    const last = moving(this.sent)
    this.sent = still
    // Not behind a request under way: a page that is being left may not live to see its answer.
    this.door.release().catch((error: unknown) => {
      if (last) this.door.failed(asApiError(error), true)
    })
  }

  private async send(renewing: boolean): Promise<void> {
    if (this.busy) return // what is wanted by then is sent when the answer is there
    const vector = this.wanted
    if (!renewing && vector === this.sent) return
    this.busy = true
    this.touched = true
    try {
      if (moving(vector)) this.door.held(await this.door.steer(vector))
      else await this.stop()
      this.sent = vector
    } catch (error) {
      window.clearInterval(this.renewal)
      this.sent = vector
      this.wanted = moving(vector) ? still : this.wanted
      this.door.failed(asApiError(error), !moving(vector))
    } finally {
      this.busy = false
    }
    if (this.wanted !== this.sent) void this.send(false)
  }

  private async stop(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        this.door.held(await this.door.steer(still))
        return
      } catch (error) {
        // A refusal is final (nobody else's camera is ours to stop); silence is not.
        if (asApiError(error).status !== 0 || attempt >= stopAttempts) throw error
        await new Promise((resolve) => window.setTimeout(resolve, stopAgainMs))
      }
    }
  }
}

// -- keys

export type Hold = keyof SteerVector
export interface Press {
  part: Hold
  sign: 1 | -1
}

/** Two parts for the corners of the pad. */
export type Pressed = readonly Press[]

const keys: Record<string, Pressed> = {
  ArrowLeft: [{ part: 'pan', sign: -1 }],
  ArrowRight: [{ part: 'pan', sign: 1 }],
  ArrowUp: [{ part: 'tilt', sign: 1 }],
  ArrowDown: [{ part: 'tilt', sign: -1 }],
  '+': [{ part: 'zoom', sign: 1 }],
  '=': [{ part: 'zoom', sign: 1 }],
  '-': [{ part: 'zoom', sign: -1 }],
  _: [{ part: 'zoom', sign: -1 }],
  ']': [{ part: 'focus', sign: 1 }],
  '[': [{ part: 'focus', sign: -1 }],
  '.': [{ part: 'aperture', sign: 1 }],
  ',': [{ part: 'aperture', sign: -1 }],
}

export function pressOf(key: string): Pressed | null {
  return keys[key] ?? null
}

/** 1 to 9 call that preset, 0 the tenth. */
export function presetOf(key: string): number | null {
  if (!/^[0-9]$/.test(key)) return null
  return key === '0' ? 10 : Number(key)
}

/** All that is held together, at one speed (1 to 100). */
export function vectorOf(held: Iterable<Pressed>, speed: number): SteerVector {
  const vector = { ...still }
  for (const pressed of held) for (const { part, sign } of pressed) vector[part] = sign * speed
  return moving(vector) ? vector : still
}
