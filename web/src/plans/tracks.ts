/** Tracks sorted and sought. Pure. */
import type { TrackState, TrackStatus } from './types'

/** What is amiss first. */
export const states: readonly TrackState[] = ['failing', 'waiting', 'starting', 'recording', 'ready']

export function markOf(state: TrackState): 'good' | 'off' | 'problem' | 'unknown' | 'wait' {
  return ({ failing: 'problem', waiting: 'off', starting: 'wait', recording: 'good', ready: 'unknown' } as const)[state]
}

export function countsOf(tracks: readonly TrackStatus[]): Record<TrackState, number> {
  const counts: Record<TrackState, number> = { failing: 0, waiting: 0, starting: 0, recording: 0, ready: 0 }
  for (const one of tracks) counts[one.state] += 1
  return counts
}

export function filtered(tracks: readonly TrackStatus[], state: TrackState | '', sought: string, nameOf: (channelId: string) => string): TrackStatus[] {
  const text = sought.trim().toLowerCase()
  return tracks
    .filter((one) => (state === '' || one.state === state) && (text === '' || one.channel_id.includes(text) || nameOf(one.channel_id).toLowerCase().includes(text)))
    .sort((a, b) => states.indexOf(a.state) - states.indexOf(b.state))
}
