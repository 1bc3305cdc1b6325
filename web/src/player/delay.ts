/**
 * How late a picture is shown, from its arrival at the server to the screen: arithmetic only. Milliseconds.
 *
 * The player asks `age <number>`; the server answers how old its newest picture is and where that lies on the stream's
 * clock. What an answer took is split by the quickest exchange seen: half of that was the question's way, the rest the
 * answer's, which stands in line with the pictures.
 */

export interface Answer {
  mediaMs: number
  ageMs: number
  askedAt: number
  heardAt: number
}

/** Quick exchanges older than this many answers count no more: the way may have changed. */
const remembered = 20

/** A question that is not answered for so long is asked anew. */
export const giveUpMs = 5000
export const askEveryMs = 2000

export class Delay {
  private rounds: number[] = []
  private last: Answer | null = null
  private question = 0
  private askedAt: number | null = null

  /** The number to ask with now, or null when it is not time. */
  ask(now: number): number | null {
    const due = this.askedAt === null ? this.last === null || now - this.last.askedAt >= askEveryMs : now - this.askedAt >= giveUpMs
    if (!due) return null
    this.question += 1
    this.askedAt = now
    return this.question
  }

  heard(question: number, mediaMs: number, ageMs: number, now: number): void {
    if (question !== this.question || this.askedAt === null) return
    this.last = { mediaMs, ageMs, askedAt: this.askedAt, heardAt: now }
    this.rounds = [...this.rounds, now - this.askedAt].slice(-remembered)
    this.askedAt = null
  }

  /** The connection is another one. */
  forget(): void {
    this.rounds = []
    this.last = null
    this.askedAt = null
  }

  /** How late what is shown now is, or null while it is not known. `shownMs` lies on the stream's clock. */
  of(shownMs: number, now: number): number | null {
    const { last } = this
    if (last === null) return null
    const took = last.heardAt - last.askedAt - Math.min(...this.rounds) / 2
    return Math.max(0, now - last.heardAt + took + last.ageMs + last.mediaMs - shownMs)
  }
}
