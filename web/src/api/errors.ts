/** What the server said when it refused, or why it could not be asked. */

export type ErrorParams = Record<string, string | number>

export class ApiError extends Error {
  /** HTTP status; 0 when no answer came at all. */
  readonly status: number
  /** Stable machine word, e.g. `purpose_required`; `unreachable` when no answer came. */
  readonly code: string
  readonly params: ErrorParams

  constructor(status: number, code: string, message: string, params: ErrorParams = {}) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.code = code
    this.params = params
  }
}

function scalarsOf(value: unknown): ErrorParams {
  const params: ErrorParams = {}
  if (typeof value !== 'object' || value === null) return params
  for (const [name, item] of Object.entries(value)) {
    if (typeof item === 'string' || typeof item === 'number') params[name] = item
  }
  return params
}

/** Field names a validation refusal (422) points at, joined for a sentence. */
function fieldsOf(detail: unknown): string {
  if (!Array.isArray(detail)) return ''
  const names = detail.map((item: { loc?: unknown[] }) => String(item.loc?.at(-1) ?? ''))
  return [...new Set(names.filter((name) => name !== ''))].join(', ')
}

/** Seconds of a Retry-After header; its date form is not used by our server. */
export function retryAfterSeconds(header: string | null): number | null {
  if (header === null || !/^\d{1,6}$/.test(header.trim())) return null
  return Number(header.trim())
}

/** Turns a refusal into an ApiError, whatever shape its body has. */
export function errorFrom(status: number, body: unknown, retryAfter: string | null = null): ApiError {
  const waited = retryAfterSeconds(retryAfter)
  const wait: ErrorParams = waited === null ? {} : { retry_after_s: waited }
  if (typeof body === 'object' && body !== null) {
    const error = (body as { error?: unknown }).error
    if (typeof error === 'object' && error !== null && typeof (error as { code?: unknown }).code === 'string') {
      const { code, message, params } = error as { code: string; message?: unknown; params?: unknown }
      return new ApiError(status, code, typeof message === 'string' ? message : code, { ...wait, ...scalarsOf(params) })
    }
    const detail = (body as { detail?: unknown }).detail
    if (detail !== undefined && status === 422) {
      return new ApiError(status, 'invalid_request', 'invalid request', { field: fieldsOf(detail) })
    }
  }
  return new ApiError(status, `http_${status}`, `HTTP ${status}`, wait)
}

export function unreachable(): ApiError {
  return new ApiError(0, 'unreachable', 'the server does not answer')
}

export function asApiError(problem: unknown): ApiError {
  if (problem instanceof ApiError) return problem
  return new ApiError(0, 'unexpected', problem instanceof Error ? problem.message : String(problem))
}
