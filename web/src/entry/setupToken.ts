/**
 * The one-time token of the set-up link.
 *
 * It is taken out of the address before anything else runs, so that it stays neither in the address bar,
 * nor in the browser's history, nor on a screen that somebody photographs. It then lives in memory only.
 */
let token = ''

function tokenOf(query: string): string {
  return new URLSearchParams(query).get('token') ?? ''
}

/** Accepts `/#/setup?token=...` and `/setup?token=...`; returns the address to show instead, or null. */
export function readSetupAddress(address: string): { token: string; clean: string } | null {
  const url = new URL(address)
  const [hashPath = '', hashQuery = ''] = url.hash.slice(1).split('?', 2)
  if (hashPath === '/setup' && hashQuery !== '') return { token: tokenOf(hashQuery), clean: '/#/setup' }
  if (url.pathname.replace(/\/$/, '') === '/setup') return { token: tokenOf(url.search), clean: '/#/setup' }
  return null
}

function takeFromAddress(): void {
  const found = readSetupAddress(window.location.href)
  if (found === null) return
  token = found.token
  window.history.replaceState(null, '', found.clean)
}

// Before the router is made: it would put the address back as it found it.
takeFromAddress()

/** For a link that is pasted into a page that is already open, where the router sees it first. */
export function keepSetupToken(given: string): void {
  token = given
}

export function setupToken(): string {
  return token
}

export function forgetSetupToken(): void {
  token = ''
}
