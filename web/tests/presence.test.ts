import { expect, test } from 'vitest'

import { isPresent, presentForMs, shouldTell, tellEveryMs } from '@/shell/presence'

test('the server is told only of somebody who did something, and not too often', () => {
  expect(shouldTell(1000, 0, tellEveryMs)).toBe(true)
  expect(shouldTell(1000, 0, tellEveryMs - 1)).toBe(false)
  expect(shouldTell(1000, 2000, 10 * tellEveryMs)).toBe(false)
})

test('a hand on the keyboard makes somebody present, for a while', () => {
  window.dispatchEvent(new KeyboardEvent('keydown', { key: 'x' }))
  const now = Date.now()
  expect(isPresent(now)).toBe(true)
  expect(isPresent(now + presentForMs + 1000)).toBe(false)
})
