/** What a finding of the diagnosis says in the language chosen: what happened, why, and what to check next. */
import { useI18n } from 'vue-i18n'

import type { ExchangeLine, Finding } from '@/api/types'

export interface ToldFinding {
  what: string
  why: string
  check: string
  hop: string
}

const gravity: Record<Finding['severity'], number> = { failure: 0, warning: 1, hint: 2 }

export type OutcomeMark = 'good' | 'problem' | 'off' | 'unknown'
const marks: Record<ExchangeLine['outcome'], OutcomeMark> = { ok: 'good', degraded: 'problem', failed: 'problem', unfinished: 'unknown' }

export const markOf = (exchange: ExchangeLine): OutcomeMark => marks[exchange.outcome]

/** The finding that decided: a failure before a warning before a hint, the first of its kind. */
export function gravest(exchange: ExchangeLine): Finding | null {
  return exchange.findings.reduce<Finding | null>((worst, one) => (worst === null || gravity[one.severity] < gravity[worst.severity] ? one : worst), null)
}

export function useFindingWords() {
  const { t, te } = useI18n()

  function told(finding: Finding): ToldFinding {
    const known = te(`diagnosis.cause.${finding.cause}.what`)
    return {
      what: known ? t(`diagnosis.cause.${finding.cause}.what`, finding.params) : finding.cause,
      why: known ? t(`diagnosis.cause.${finding.cause}.why`, finding.params) : '',
      check: te(`diagnosis.check.${finding.check}`) ? t(`diagnosis.check.${finding.check}`) : finding.check,
      hop: t(`diagnosis.hop.${finding.hop}`),
    }
  }

  function fact(word: string, params: Record<string, string | number>): string {
    const reason = String(params.reason ?? '')
    const told = te(`failure.${reason}.what`) ? { ...params, reason: t(`failure.${reason}.what`, { seconds: '', status: '', reason: '', why: '' }) } : params
    return te(`diagnosis.fact.${word}`) ? t(`diagnosis.fact.${word}`, told) : word
  }

  return { told, fact }
}
