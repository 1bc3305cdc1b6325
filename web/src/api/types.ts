/** The server's answers, as the console reads them. */

export type Role =
  | 'operator'
  | 'supervisor'
  | 'investigator'
  | 'maintainer'
  | 'system_admin'
  | 'security_admin'
  | 'auditor'
  | 'inspector'

export type Action =
  | 'live.view'
  | 'recording.view'
  | 'export'
  | 'unmask'
  | 'grant.request'
  | 'grant.read'
  | 'grant.revoke'
  | 'access.read'
  | 'purpose.read'
  | 'purpose.manage'
  | 'account.read'
  | 'account.manage'
  | 'device.read'
  | 'device.manage'
  | 'session.read'
  | 'system.read'
  | 'system.manage'
  | 'audit.read'

export interface Account {
  id: string
  username: string
  display_name: string
  roles: Role[]
  disabled: boolean
  totp_enabled: boolean
  created_at: string
  last_sign_in_at: string | null
}

export interface SignedIn {
  account: Account
  actions: Action[]
  csrf_token: string
  ends_at: string
  idle_timeout_s: number
}

export interface NewAccount {
  username: string
  password: string
  display_name: string
}

export interface Purpose {
  id: string
  name_zh: string
  name_en: string
  legal_basis: string
  owner: string
  review_at: string
  actions: Action[]
  max_duration_s: number
  retired: boolean
}

export type Params = Record<string, string | number>

export interface Problem {
  code: string
  params: Params
  since: string
}

export interface Channel {
  id: string
  device_id: string
  gb_id: string
  name: string
  status: 'on' | 'off' | 'unknown'
  parent_id: string
  manufacturer: string
  model: string
  place: string
  vanished_at: string | null
  watching: boolean
}

export type DeviceState = 'online' | 'offline' | 'problem'
export type MediaTransport = 'udp' | 'tcp-passive' | 'tcp-active'

export interface Catalogue {
  state: string
  received: number
  promised: number | null
  finished_at: string | null
}

export interface Device {
  id: string
  name: string
  state: DeviceState
  state_reason: string
  online: boolean
  address: string | null
  signalling_transport: string | null
  media_transport: MediaTransport | null
  manufacturer: string
  model: string
  firmware: string
  user_agent: string
  gb_version: string | null
  has_own_password: boolean
  registered_at: string | null
  expires_at: string | null
  last_keepalive_at: string | null
  problems: Problem[]
  catalogue: Catalogue
  channels: Channel[]
}

export interface Refusal {
  device_id: string
  address: string
  transport: string
  reason: string
  count: number
  first_at: string
  last_at: string
  user_agent: string
}

export interface LiveGrant {
  id: string
  purpose_id: string
  purpose_name_zh: string
  purpose_name_en: string
  reason: string
  starts_at: string
  ends_at: string
}

export interface LiveAccess {
  access_id: string
  session_id: string
  grant: LiveGrant
  url: string
  start_by: string
}

export interface LiveRequest {
  channel_id: string
  protocol: 'ws' | 'http'
  purpose_id?: string
  reason?: string
  duration_s?: number
  grant_id?: string
}

export interface Grant {
  id: string
  account_id: string
  account_name: string
  purpose_id: string
  purpose_name_zh: string
  purpose_name_en: string
  reason: string
  actions: Action[]
  channel_ids: string[]
  starts_at: string
  ends_at: string
  revoked_at: string | null
  revoked_by: string | null
  revoked_reason: string | null
  origin: string
  state: 'not_started' | 'active' | 'ended' | 'revoked'
}

export interface AccessRecord {
  id: string
  grant_id: string
  account_id: string
  account_name: string
  channel_id: string
  action: Action
  protocol: string
  client_address: string
  started_at: string
  ended_at: string | null
  outcome: string
  bytes_sent: number
}

export interface TimelineStep {
  step: string
  at: string
  elapsed_ms: number
  params: Params
}

export interface StreamStats {
  packets: number
  bytes: number
  lost: number
  reordered: number
  duplicates: number
  malformed: number
  discarded: number
  frames: number
  key_frames: number
  bitrate_kbps: number
  fps: number
  codec: string | null
  width: number | null
  height: number | null
  viewers: number
  viewer_drops: number
  ssrc_mismatches: number
  peer: string | null
  last_packet_age_ms: number | null
}

export interface Failure {
  code: string
  params: Params
}

export interface LiveSession {
  id: string
  channel_id: string
  device_id: string
  state: 'starting' | 'live' | 'failed' | 'ended'
  transport: MediaTransport
  started_at: string
  ended_at: string | null
  failure: Failure | null
  viewer_count: number
  timeline: TimelineStep[]
  stats: StreamStats | null
  viewers: { access_id: string; account_name: string; grant_id: string; since: string }[]
}

export interface AuditEntry {
  sequence: number
  at: string
  actor_id: string
  actor_name: string
  action: string
  resource: string
  outcome: string
  detail: Record<string, unknown>
}

export interface Checkpoint {
  size: number
  note: string
  verifier_key: string
}

export interface System {
  version: string
  instance: {
    id: string
    started_at: string
    sip_id: string
    sip_domain: string
    sip_address: string
    media_url: string
  }
  audit: {
    state: string
    entries: number
    signed_entries: number
    last_checkpoint_at: string | null
    refused_appends: number
    message: string
  }
  counters: Record<string, Record<string, number>>
}

export interface Items<Item> {
  items: Item[]
}
