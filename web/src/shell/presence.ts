/**
 * Whether somebody is there. The server ends a session that nobody uses; looking at a wall for an hour with a hand
 * on the mouse is use, a page that reads counters by itself is not.
 */

/** Asking more often than this says nothing new to the server. */
export const tellEveryMs = 240_000
/** After this long without a hand on mouse or keyboard a page reads nothing by itself any more. */
export const presentForMs = 600_000

let lastInput = Date.now()

function noticed(): void {
  lastInput = Date.now()
}

for (const kind of ['pointerdown', 'pointermove', 'keydown', 'wheel']) {
  window.addEventListener(kind, noticed, { passive: true, capture: true })
}

/** Whether to tell the server: somebody did something since it last heard, and that is a while ago. */
export function shouldTell(inputAt: number, toldAt: number, now: number): boolean {
  return inputAt > toldAt && now - toldAt >= tellEveryMs
}

export function isPresent(now = Date.now()): boolean {
  return document.visibilityState === 'visible' && now - lastInput < presentForMs
}

/** Calls `tell` now and then while somebody is there, until the returned function is called. */
export function tellPresence(tell: () => void): () => void {
  let toldAt = Date.now()
  const timer = window.setInterval(() => {
    const now = Date.now()
    if (!shouldTell(lastInput, toldAt, now)) return
    toldAt = now
    tell()
  }, 30_000)
  return () => window.clearInterval(timer)
}
