/** Plain words for what failed, why probably, and what to check next. */
import { useI18n } from 'vue-i18n'

import type { Failure, Params, Problem, TimelineStep } from '@/api/types'
import type { Cause } from '@/player/machine'
import { useFormats } from '@/shell/formats'
import { useWords } from '@/shell/words'

/** Every failure code of a live session that has words; a test holds them against the server's list. */
export const failureCodes = [
  'device_offline',
  'media_ports_exhausted',
  'media_unavailable',
  'ssrc_exhausted',
  'ssrc_refused',
  'invite_timeout',
  'invite_refused',
  'signalling_lost',
  'signalling_busy',
  'sdp_unusable',
  'tcp_connect_failed',
  'no_packets',
  'no_video',
  'no_key_frame',
  'media_lost',
  'device_ended',
  'rtsp_unreachable',
  'rtsp_unauthorised',
  'rtsp_not_found',
  'rtsp_no_media',
  'rtsp_certificate',
  'rtsp_refused',
  'source_forbidden',
  'source_disabled',
  'talk_unsupported',
  'device_silent',
  'broadcast_refused',
  'never_called',
  'device_busy',
  'no_common_codec',
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
  const { dateTime } = useFormats()

  function why(word: string | number | undefined): string {
    if (word === undefined) return t('why.none')
    return te(`why.${word}`) ? t(`why.${word}`) : String(word)
  }

  function failure(failed: { code: string; params: Params }): Explained {
    const known = te(`failure.${failed.code}.what`) ? failed.code : 'unknown'
    const params: Record<string, unknown> = { status: '', seconds: '', reason: '', ...failed.params, code: failed.code, why: why(failed.params.why) }
    if (failed.code === 'device_offline') params.reason = presence(String(failed.params.reason ?? ''))
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

  /** The facts of a hop, named in the language chosen. Ids that only machines use are left to the copied text. */
  function facts(one: TimelineStep): string {
    const { width, height, code, ...rest } = one.params
    const shown: [string, string | number][] = Object.entries(rest).filter(([name]) => name !== 'access_id')
    if (width !== undefined && height !== undefined) shown.push(['size', `${width} × ${height}`])
    const said = shown.map(([name, value]) => `${te(`param.${name}`) ? t(`param.${name}`) : name} ${factValue(name, value)}`)
    if (code !== undefined) said.unshift(te(`note.${code}`) ? t(`note.${code}`) : String(code))
    return said.join(' · ')
  }

  function factValue(name: string, value: string | number): string {
    if (name === 'registered_at') return dateTime(value)
    if (name === 'why') return why(value)
    if (name === 'reason') {
      for (const group of ['leftReason', 'endReason', 'presence']) if (te(`${group}.${value}`)) return t(`${group}.${value}`)
    }
    return String(value)
  }

  return { failure, ending, trouble, presence, step, facts }
}
