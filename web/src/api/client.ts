/** One door to the server: cookies, CSRF token, errors and the server's clock. */
import { errorFrom, unreachable } from './errors'

let csrfToken = ''
let clockOffsetMs = 0
let onSignedOut: () => void = () => undefined
let onReached: (reached: boolean) => void = () => undefined
let onStorage: (state: string) => void = () => undefined

export function setCsrfToken(token: string): void {
  csrfToken = token
}

/** Called with `ok` or the word for why nothing can be written. */
export function whenStorageChanges(listener: (state: string) => void): void {
  onStorage = listener
}

/** Called when a request finds that the session has ended. */
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener
}

export function whenReached(listener: (reached: boolean) => void): void {
  onReached = listener
}

/** Milliseconds since 1970 by the server's clock: grants end by it, not by this computer's. */
export function serverNow(): number {
  return Date.now() + clockOffsetMs
}

function learnClock(date: string | null): void {
  const at = date === null ? Number.NaN : Date.parse(date)
  if (Number.isNaN(at)) return
  // The Date header has whole seconds: smaller differences say nothing.
  const offset = at + 500 - Date.now()
  clockOffsetMs = Math.abs(offset) > 1500 ? offset : 0
}

async function bodyOf(response: Response): Promise<unknown> {
  const text = await response.text()
  if (text === '') return undefined
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

export type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

export async function call<T>(method: Method, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' }
  if (body !== undefined) headers['Content-Type'] = 'application/json'
  if (method !== 'GET' && csrfToken !== '') headers['X-CSRF-Token'] = csrfToken
  let response: Response
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: 'same-origin',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  } catch {
    onReached(false)
    throw unreachable()
  }
  onReached(true)
  learnClock(response.headers.get('Date'))
  const answer = await bodyOf(response)
  if (response.ok) {
    if (method !== 'GET') onStorage('ok')
    return answer as T
  }
  const error = errorFrom(response.status, answer, response.headers.get('Retry-After'))
  if (error.code === 'storage_unavailable' || error.code === 'storage_full') onStorage(error.code)
  if (response.status === 401 && csrfToken !== '') onSignedOut()
  throw error
}
