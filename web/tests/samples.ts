/** Answers of the server, complete, for tests to vary. */
import type { Channel, Device, LiveSession } from '@/api/types'

export function channel(change: Partial<Channel> = {}): Channel {
  return {
    id: 'd1-c1',
    device_id: 'd1',
    gb_id: '34020000001310000001',
    kind: 'video',
    name: 'Gate',
    status: 'on',
    parent_id: 'd1',
    manufacturer: '',
    model: '',
    civil_code: '',
    place: '',
    longitude: null,
    latitude: null,
    vanished_at: null,
    watching: false,
    fault: null,
    ...change,
  }
}

export function device(change: Partial<Device> = {}): Device {
  return {
    id: 'd1',
    name: 'Gate',
    state: 'online',
    state_reason: 'registered',
    online: true,
    address: '10.0.0.8:5060',
    signalling_transport: 'udp',
    media_transport: null,
    manufacturer: '',
    model: '',
    firmware: '',
    user_agent: '',
    gb_version: null,
    has_own_password: false,
    registered_at: null,
    expires_at: null,
    last_keepalive_at: null,
    origin: 'gb28181',
    problems: [],
    catalogue: { state: 'complete', received: 0, promised: 0, finished_at: null },
    ...change,
  }
}

export function session(change: Partial<LiveSession> = {}): LiveSession {
  return {
    id: 's1',
    channel_id: 'd1-c1',
    device_id: 'd1',
    stream_number: 0,
    state: 'live',
    transport: 'tcp-passive',
    started_at: '2026-11-22T10:00:00Z',
    ended_at: null,
    failure: null,
    viewer_count: 0,
    timeline: [],
    stats: null,
    viewers: [],
    ...change,
  }
}
