import { describe, expect, it } from 'vitest'

import { viewerRates } from '@/manage/rates'

const answer = (second: number, sent: Record<string, number>) => ({
  at: new Date(second * 1000).toISOString(),
  viewers: Object.entries(sent).map(([access_id, bytes_sent]) => ({ access_id, bytes_sent })),
})

describe('the rates of viewers', () => {
  it('are what two answers differ by', () => {
    const rates = viewerRates(answer(10, { a: 1000, b: 0 }), answer(12, { a: 501_000, b: 250 }))
    expect(rates).toEqual(new Map([['a', 2000], ['b', 1]]))
  })

  it('are not known for whoever has just come, or before there is a second answer', () => {
    expect(viewerRates(null, answer(10, { a: 1000 }))).toEqual(new Map())
    expect(viewerRates(answer(10, {}), answer(12, { a: 1000 }))).toEqual(new Map())
    expect(viewerRates(answer(10, { a: 1 }), answer(10, { a: 1000 }))).toEqual(new Map())
  })
})
