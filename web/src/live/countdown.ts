/** Time left of a grant, as a tile shows it. */

export interface Countdown {
  /** `h:mm:ss` or `mm:ss`; never negative. */
  text: string
  leftMs: number
  /** The last two minutes, in which a tile warns. */
  warning: boolean
  over: boolean
}

export const warnBeforeMs = 120_000

export function countdown(endsAt: number, now: number): Countdown {
  const leftMs = Math.max(0, endsAt - now)
  const total = Math.ceil(leftMs / 1000)
  const two = (value: number) => String(value).padStart(2, '0')
  const hours = Math.floor(total / 3600)
  const minutes = Math.floor((total % 3600) / 60)
  const text = hours > 0 ? `${hours}:${two(minutes)}:${two(total % 60)}` : `${two(minutes)}:${two(total % 60)}`
  return { text, leftMs, warning: leftMs <= warnBeforeMs, over: leftMs === 0 }
}
