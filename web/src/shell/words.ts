/** Plain words for refusals, in the language chosen. */
import { useI18n } from 'vue-i18n'

import { asApiError } from '@/api/errors'

interface Coded {
  code: string
  params: Record<string, string | number>
  message?: string
}

function isCoded(error: unknown): error is Coded {
  return !(error instanceof Error) && typeof error === 'object' && error !== null && typeof (error as Coded).code === 'string'
}

/** `90` -> "1 min 30 s", in the words of the language. */
export function useWords() {
  const { t, te } = useI18n()

  function seconds(total: number): string {
    const whole = Math.max(0, Math.ceil(total))
    if (whole < 60) return t('time.seconds', { n: whole })
    const minutes = Math.floor(whole / 60)
    if (minutes < 60) {
      const rest = whole % 60
      return rest === 0 ? t('time.minutes', { n: minutes }) : t('time.minutesSeconds', { m: minutes, s: rest })
    }
    const hours = Math.floor(minutes / 60)
    const restMinutes = minutes % 60
    return restMinutes === 0 ? t('time.hours', { n: hours }) : t('time.hoursMinutes', { h: hours, m: restMinutes })
  }

  /** A sentence for any error, or for the code of one; a code without words is shown as it is, never hidden. */
  function problem(error: unknown): string {
    const known = isCoded(error) ? { message: error.code, ...error } : asApiError(error)
    const params: Record<string, string | number> = { message: known.message, ...known.params }
    const wait = Number(params.retry_after_s ?? params.wait_s ?? Number.NaN)
    if (Number.isFinite(wait)) params.wait = seconds(wait)
    const limit = params.maximum_s ?? params.minimum_s
    if (limit !== undefined) params.limit = seconds(Number(limit))
    if (typeof params.field === 'string' && te(`field.${params.field}`)) params.field = t(`field.${params.field}`)
    if (params.wait !== undefined && te(`errors.${known.code}_wait`)) return t(`errors.${known.code}_wait`, params)
    if (te(`errors.${known.code}`)) return t(`errors.${known.code}`, params)
    return t('errors.unknown', { code: known.code, message: known.message })
  }

  return { seconds, problem }
}
