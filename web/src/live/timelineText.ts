/** A session as plain text, to paste into a message to whoever has to repair it. */
import type { LiveSession, TimelineStep } from '@/api/types'

import type { Explained } from './failureWords'

export interface TimelineWords {
  step: (step: TimelineStep) => string
  heading: string
  failure: (explained: Explained) => string[]
}

/** Media events and signalling arrive on different paths: in the order in which they happened. */
export function inOrder(timeline: readonly TimelineStep[]): TimelineStep[] {
  return [...timeline].sort((first, second) => first.elapsed_ms - second.elapsed_ms)
}

function paramsText(params: Record<string, string | number>): string {
  return Object.entries(params)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')
}

export function timelineText(session: LiveSession, explained: Explained | null, words: TimelineWords): string {
  const lines = [
    words.heading,
    `session ${session.id}  device ${session.device_id}  channel ${session.channel_id}  ${session.transport}  ${session.state}`,
    `started ${session.started_at}`,
  ]
  for (const step of inOrder(session.timeline)) {
    const params = paramsText(step.params)
    lines.push(`${step.at}  +${step.elapsed_ms} ms  ${step.step}  ${words.step(step)}${params === '' ? '' : `  (${params})`}`)
  }
  if (session.failure !== null && explained !== null) {
    lines.push(`failure ${session.failure.code} ${paramsText(session.failure.params)}`.trimEnd(), ...words.failure(explained))
  }
  if (session.stats !== null) {
    const { packets, lost, reordered, malformed, frames, key_frames, bitrate_kbps, codec, width, height } = session.stats
    lines.push(
      `packets ${packets}  lost ${lost}  reordered ${reordered}  malformed ${malformed}  frames ${frames}  key frames ${key_frames}  ${Math.round(bitrate_kbps)} kbit/s  ${codec ?? '-'} ${width ?? '-'}x${height ?? '-'}`,
    )
  }
  return lines.join('\n')
}
