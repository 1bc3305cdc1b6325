/** Plain words for commands: what was ordered, how far it has come, and what proves it. */
import { useI18n } from 'vue-i18n'

import type { Command, CommandState, CommandStep } from './types'

export type Mark = 'good' | 'problem' | 'wait' | 'unknown'

/** The way a command goes; the last is the only one that says "it happened". */
export const way = ['sent', 'accepted', 'answered', 'observed'] as const satisfies readonly CommandState[]

/** Good only when the effect itself was seen: a 200 proves that a message arrived, and nothing else. */
export function markOf(command: Command): Mark {
  if (command.state === 'observed') return 'good'
  if (command.state === 'failed') return 'problem'
  return command.state === 'not_observable' ? 'unknown' : 'wait'
}

export interface WayStep {
  state: (typeof way)[number]
  at: string | null
}

/** The four steps with the time each was reached; what was never reached has none. */
export function wayOf(command: Command): WayStep[] {
  return way.map((state) => ({ state, at: command.steps.find((step) => step.state === state)?.at ?? null }))
}

/** Evidence that is true or false; the server may send it as 1 or 0. */
const yesOrNo = new Set(['present', 'online', 'enabled', 'refreshed'])

export function useCommandWords() {
  const { t, te } = useI18n()

  function kind(word: string): string {
    return te(`control.kind.${word}`) ? t(`control.kind.${word}`) : word
  }

  /** One sentence about where the command stands. */
  function standing(command: Command): string {
    if (command.failure !== null) return te(`commandWords.failure.${command.failure}`) ? t(`commandWords.failure.${command.failure}`) : command.failure
    return t(`control.standing.${command.state}`)
  }

  function facts(evidence: CommandStep['evidence']): string {
    const said = Object.entries(evidence).map(([name, value]) => `${te(`control.evidence.${name}`) ? t(`control.evidence.${name}`) : name} ${told(name, value)}`)
    return said.join(' · ')
  }

  function told(name: string, value: string | number | boolean): string {
    if (yesOrNo.has(name)) return t(Number(value) !== 0 ? 'common.yes' : 'common.no')
    return te(`control.evidenceValue.${value}`) ? t(`control.evidenceValue.${value}`) : String(value)
  }

  function plain(value: unknown): string {
    if (typeof value === 'boolean') return t(value ? 'common.yes' : 'common.no')
    return typeof value === 'object' ? JSON.stringify(value) : String(value)
  }

  /** What was ordered, beyond its kind: numbers and words as they were given. */
  function parameters(command: Command): string {
    const shown = Object.entries(command.parameters).filter(([name, value]) => name !== 'kind' && value !== null && value !== '')
    const said = shown.map(([name, value]) => `${te(`control.parameter.${name}`) ? t(`control.parameter.${name}`) : name} ${plain(value)}`)
    return said.join(' · ')
  }

  return { kind, standing, facts, parameters }
}
