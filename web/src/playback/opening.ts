/** What is needed before recordings are looked at: a grant for all cameras asked for, and a moment to begin at. */
import { answer, api, serverNow } from '@/api/client'
import type { Statement } from '@/live/PurposeDialog.vue'
import type { Terms } from '@/recordings/usePlayback'

import { day } from './scale'

/** So much before the end of what is recorded playback begins. */
const beforeEndMs = 120_000

/** Several cameras asked for together share one grant that names them all. Throws the server's refusal. */
export async function termsFor(ids: readonly string[], said: Statement): Promise<Terms> {
  if (said.grantId !== null) return { grant_id: said.grantId }
  if (ids.length === 1) return { purpose_id: said.purposeId, reason: said.reason, duration_s: said.durationS }
  const body = { channel_ids: [...ids], purpose_id: said.purposeId, reason: said.reason, duration_s: said.durationS, actions: ['recording.view' as const] }
  return { grant_id: (await answer(api.POST('/api/grants', { body }))).id }
}

/** A little before the end of what is recorded last of these cameras; a minute ago when nothing is. */
export async function newestOf(ids: readonly string[]): Promise<number> {
  const at = serverNow()
  const body = { channel_ids: [...ids], begin: new Date(at - 31 * day).toISOString(), end: new Date(at).toISOString(), pixels: 4000, with_devices: false }
  const { lines } = await answer(api.POST('/api/recording/timeline', { body }))
  const last = lines.map((one) => one.recorded.at(-1)).filter((one) => one !== undefined)
  if (last.length === 0) return at - 60_000
  const end = Math.max(...last.map(([, to = 0]) => to))
  const begin = Math.max(...last.map(([from = 0]) => from))
  return Math.max(begin, Math.min(end, at) - beforeEndMs)
}
