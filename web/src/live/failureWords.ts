/** Plain words for what failed, why probably, and what to check next. */
import { useI18n } from 'vue-i18n'

import type { Failure, Params, Problem, TimelineStep } from '@/api/types'
import type { Cause } from '@/player/machine'
import { useWords } from '@/shell/words'

/** Every failure code of a live session that has words; a test holds them against the server's list. */
export const failureCodes = [
  'device_offline',
  'channel_vanished',
  'media_ports_exhausted',
  'media_unavailable',
  'ssrc_exhausted',
  'invite_timeout',
  'invite_refused',
  'signalling_lost',
  'sdp_unusable',
  'tcp_connect_failed',
  'no_packets',
  'no_video',
  'no_key_frame',
  'media_lost',
  'device_ended',
  'internal',
] as const satisfies readonly Failure['code'][]

export interface Explained {
  what: string
  cause: string
  check: string
  code: string
}

export function useFailureWords() {
  const { t, te } = useI18n()
  const { problem } = useWords()

  function failure(failed: { code: string; params: Params }): Explained {
    const known = te(`failure.${failed.code}.what`) ? failed.code : 'unknown'
    const params: Record<string, unknown> = { why: '', reason: '', address: '', status: '', seconds: '', ...failed.params, code: failed.code }
    const say = (part: string) => t(`failure.${known}.${part}`, params)
    return { what: say('what'), cause: say('cause'), check: say('check'), code: failed.code }
  }

  /** One sentence for a tile. */
  function ending(cause: Cause): string {
    if (cause.kind === 'failure') return failure({ code: cause.code, params: cause.params }).what
    if (cause.kind === 'refusal') return problem({ ...cause })
    return te(`ending.${cause.code}`) ? t(`ending.${cause.code}`, cause.params) : t('ending.unknown', { code: cause.code })
  }

  function trouble(one: Problem): { what: string; hint: string } {
    const known = te(`problem.${one.code}`) ? one.code : 'unknown'
    const params = { ...one.params, code: one.code }
    return { what: t(`problem.${known}`, params), hint: t(`problemHint.${known}`, params) }
  }

  function presence(reason: string): string {
    return te(`presence.${reason}`) ? t(`presence.${reason}`) : t('presence.unknown', { code: reason })
  }

  function step(one: TimelineStep): string {
    return te(`step.${one.step}`) ? t(`step.${one.step}`) : t('step.unknown', { step: one.step })
  }

  return { failure, ending, trouble, presence, step }
}
