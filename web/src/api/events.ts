/** Notifications from the server (Server-Sent Events): "look again at this", never the thing itself. */

export interface ServerEvent {
  topic: string
  payload: Record<string, unknown>
}

export type EventListener = (event: ServerEvent) => void

/** After a gap in the notifications everything may have changed. */
export const RESYNC = 'resync'

const topics = ['device.changed', 'channel.changed', 'session.changed', 'grant.changed', 'account.changed', 'system.changed', 'bus.lost']

/** Longest pause between attempts to connect again, milliseconds. */
const longestPauseMs = 15_000

export function parseEvent(data: string): ServerEvent | null {
  try {
    const value = JSON.parse(data) as unknown
    if (typeof value !== 'object' || value === null) return null
    const { topic, payload, ...rest } = value as { topic?: unknown; payload?: unknown }
    if (typeof topic !== 'string') return null
    const body = typeof payload === 'object' && payload !== null ? payload : rest
    return topic === 'bus.lost' ? { topic: RESYNC, payload: {} } : { topic, payload: body as Record<string, unknown> }
  } catch {
    return null
  }
}

export class EventStream {
  private source: EventSource | null = null
  private timer: number | undefined
  private pauseMs = 500
  private interrupted = false
  private readonly listener: EventListener
  private readonly connection: (connected: boolean) => void

  constructor(listener: EventListener, connection: (connected: boolean) => void) {
    this.listener = listener
    this.connection = connection
  }

  open(): void {
    this.close()
    const source = new EventSource('/api/events', { withCredentials: true })
    this.source = source
    const receive = (message: MessageEvent<string>) => {
      const event = parseEvent(message.data)
      if (event !== null) this.listener(event)
    }
    source.onmessage = receive
    for (const topic of topics) source.addEventListener(topic, receive as (event: Event) => void)
    source.onopen = () => {
      this.pauseMs = 500
      this.connection(true)
      if (this.interrupted) this.listener({ topic: RESYNC, payload: {} })
      this.interrupted = false
    }
    source.onerror = () => {
      // A browser gives up for good after an HTTP error, so every reconnection is ours.
      this.interrupted = true
      this.connection(false)
      source.close()
      this.timer = window.setTimeout(() => this.open(), this.pauseMs)
      this.pauseMs = Math.min(this.pauseMs * 2, longestPauseMs)
    }
  }

  close(): void {
    window.clearTimeout(this.timer)
    this.source?.close()
    this.source = null
  }
}
