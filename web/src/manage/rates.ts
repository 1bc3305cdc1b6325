/** How fast viewers are sent to: what two answers of the statistics differ by. */

export interface Sent {
  at: string
  viewers: readonly { access_id: string; bytes_sent: number }[]
}

/** kbit/s of every viewer that is in both answers, by access record. */
export function viewerRates(before: Sent | null, after: Sent): Map<string, number> {
  const rates = new Map<string, number>()
  const seconds = before === null ? 0 : (Date.parse(after.at) - Date.parse(before.at)) / 1000
  if (before === null || seconds <= 0) return rates
  const sent = new Map(before.viewers.map((one) => [one.access_id, one.bytes_sent]))
  for (const one of after.viewers) {
    const earlier = sent.get(one.access_id)
    if (earlier !== undefined && one.bytes_sent >= earlier) rates.set(one.access_id, ((one.bytes_sent - earlier) * 8) / 1000 / seconds)
  }
  return rates
}
