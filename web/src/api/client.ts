/** One door to the server: typed paths, CSRF token, errors and the server's clock. */
import createClient from 'openapi-fetch'

import { type ApiError, errorFrom, unreachable } from './errors'
import type { paths } from './schema'

let csrfToken = ''
let clockOffsetMs = 0
let onSignedOut: () => void = () => undefined
let onReached: (reached: boolean) => void = () => undefined
let onStorage: (state: string) => void = () => undefined

export function setCsrfToken(token: string): void {
  csrfToken = token
}

/** Called when a request finds that the session has ended. */
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener
}

export function whenReached(listener: (reached: boolean) => void): void {
  onReached = listener
}

/** Called with `ok` or the word for why nothing can be written. */
export function whenStorageChanges(listener: (state: string) => void): void {
  onStorage = listener
}

/** Milliseconds since 1970 by the server's clock: grants end by it, not by this computer's. */
export function serverNow(): number {
  return Date.now() + clockOffsetMs
}

/**
 * How far the server's clock is ahead of this computer's, milliseconds.
 *
 * A Date header has whole seconds, a server may keep it for one more, and the answer was made at some moment between
 * `sentAt` and `receivedAt`: together they bound the difference. A difference within the bounds stays as it is, so that a
 * slow answer does not move the clock that durations are measured with.
 */
export function clockOffset(current: number, date: string | null, sentAt: number, receivedAt: number): number {
  const at = date === null ? Number.NaN : Date.parse(date)
  if (Number.isNaN(at)) return current
  return Math.min(Math.max(current, at - receivedAt), at + 2000 - sentAt)
}

async function reach(request: Request): Promise<Response> {
  const sentAt = Date.now()
  try {
    const response = await fetch(request)
    clockOffsetMs = clockOffset(clockOffsetMs, response.headers.get('Date'), sentAt, Date.now())
    return response
  } catch {
    onReached(false)
    throw unreachable()
  }
}

/** Every operation of the server, typed by its OpenAPI document. Use through `answer`. */
export const api = createClient<paths>({ baseUrl: window.location.origin, credentials: 'same-origin', fetch: reach })

api.use({
  onRequest({ request }) {
    if (request.method !== 'GET' && csrfToken !== '') request.headers.set('X-CSRF-Token', csrfToken)
    return request
  },
  onResponse() {
    onReached(true)
  },
})

interface Asked<Data> {
  data?: Data
  error?: unknown
  response: Response
}

/**
 * The data of an operation.
 *
 * @throws ApiError when the server refused or does not answer.
 */
export async function answer<Data>(asked: Promise<Asked<Data>>): Promise<Data> {
  const { data, error, response } = await asked
  if (response.ok) return data as Data
  const refusal = errorFrom(response.status, error, response.headers.get('Retry-After'))
  if (refusal.code === 'storage_unavailable' || refusal.code === 'storage_full') onStorage(refusal.code)
  if (isSessionGone(refusal) && csrfToken !== '') onSignedOut()
  throw refusal
}

/** A 401 about the session; a wrong password in a form is a 401 as well and ends nothing. */
function isSessionGone(refusal: ApiError): boolean {
  return refusal.status === 401 && (refusal.code === 'not_signed_in' || refusal.code === 'session_ended')
}
