import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { answer, api, clockOffset, setCsrfToken, whenReached, whenSignedOut, whenStorageChanges } from '@/api/client'
import { ApiError, errorFrom, retryAfterSeconds } from '@/api/errors'
import { parseEvent } from '@/api/events'

function answering(status: number, body: unknown, headers: Record<string, string> = {}) {
  const asked: Request[] = []
  vi.stubGlobal('fetch', (request: Request) => {
    asked.push(request)
    return Promise.resolve(new Response(body === undefined ? null : JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...headers } }))
  })
  return asked
}

const refusal = (code: string, params = {}) => ({ error: { code, message: 'a sentence', params } })

beforeEach(() => setCsrfToken(''))
afterEach(() => vi.unstubAllGlobals())

describe('refusals', () => {
  test('keep code, sentence and parameters, and learn the wait from the header', () => {
    const error = errorFrom(429, refusal('too_many_attempts'), '30')
    expect([error.status, error.code, error.message, error.params]).toEqual([429, 'too_many_attempts', 'a sentence', { retry_after_s: 30 }])
  })

  test('of a foreign shape are named by their status', () => {
    expect(errorFrom(502, undefined).code).toBe('http_502')
    expect(errorFrom(500, 'gone').code).toBe('http_500')
    expect(errorFrom(404, { error: 'text' }).code).toBe('http_404')
  })

  test('hold only plain values in their parameters', () => {
    expect(errorFrom(409, refusal('x', { a: 1, b: 'two', c: { d: 3 }, e: null })).params).toEqual({ a: 1, b: 'two' })
  })

  test('a wait that is not a number of seconds is no wait', () => {
    expect([retryAfterSeconds(null), retryAfterSeconds('soon'), retryAfterSeconds(' 12 ')]).toEqual([null, null, 12])
  })
})

describe('requests', () => {
  test('that change something carry the CSRF token, those that look do not', async () => {
    setCsrfToken('token')
    const asked = answering(200, { items: [] })
    await answer(api.GET('/api/grants'))
    await answer(api.DELETE('/api/session'))
    expect(asked.map((request) => request.headers.get('X-CSRF-Token'))).toEqual([null, 'token'])
  })

  test('that find the session gone say so; a wrong password in a form does not end it', async () => {
    const signedOut = vi.fn()
    whenSignedOut(signedOut)
    setCsrfToken('token')
    answering(401, refusal('sign_in_refused'))
    await expect(answer(api.POST('/api/account/password', { body: { current_password: 'a', new_password: 'b' } }))).rejects.toBeInstanceOf(ApiError)
    expect(signedOut).not.toHaveBeenCalled()
    answering(401, refusal('session_ended'))
    await expect(answer(api.GET('/api/tree'))).rejects.toMatchObject({ code: 'session_ended' })
    expect(signedOut).toHaveBeenCalledOnce()
  })

  test('that reach nobody say so, and the next answer takes it back', async () => {
    const reached = vi.fn()
    whenReached(reached)
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('network')))
    await expect(answer(api.GET('/api/tree'))).rejects.toMatchObject({ status: 0, code: 'unreachable' })
    answering(200, { devices: [] })
    await answer(api.GET('/api/tree'))
    expect(reached.mock.calls).toEqual([[false], [true]])
  })

  test('that are refused for a full disk raise the banner', async () => {
    const storage = vi.fn()
    whenStorageChanges(storage)
    answering(503, refusal('storage_full'))
    await expect(answer(api.GET('/api/purposes'))).rejects.toMatchObject({ code: 'storage_full' })
    expect(storage).toHaveBeenCalledWith('storage_full')
  })
})

describe('the server’s clock', () => {
  const at = (time: string) => Date.parse(`2026-11-22T${time}Z`)
  const ten = 'Sun, 22 Nov 2026 10:00:00 GMT'

  test('is followed when it differs by more than whole seconds can hide', () => {
    expect(clockOffset(0, ten, at('10:00:00.300'), at('10:00:00.400'))).toBe(0)
    expect(clockOffset(0, ten, at('09:55:00.000'), at('09:55:00.100'))).toBe(299_900)
    expect(clockOffset(0, ten, at('10:05:00.000'), at('10:05:00.100'))).toBe(-298_000)
  })

  test('is not moved by an answer that took long, nor by one that says nothing', () => {
    expect(clockOffset(0, ten, at('10:00:00.100'), at('10:00:09.000'))).toBe(0)
    expect(clockOffset(299_900, ten, at('09:55:00.200'), at('09:55:04.000'))).toBe(299_900)
    expect(clockOffset(7, null, 0, 0)).toBe(7)
    expect(clockOffset(7, 'yesterday', 0, 0)).toBe(7)
  })
})

describe('notifications', () => {
  test('are read flat or with a payload, and lost ones mean: look at everything', () => {
    expect(parseEvent('{"topic":"device.changed","device_id":"d1"}')).toEqual({ topic: 'device.changed', payload: { device_id: 'd1' } })
    expect(parseEvent('{"topic":"x","payload":{"a":1}}')).toEqual({ topic: 'x', payload: { a: 1 } })
    expect(parseEvent('{"topic":"bus.lost"}')).toEqual({ topic: 'resync', payload: {} })
  })

  test('that cannot be read are ignored', () => {
    expect([parseEvent('nonsense'), parseEvent('[]'), parseEvent('{"topic":3}'), parseEvent('null')]).toEqual([null, null, null, null])
  })
})
