/** Short names for the server's answers; the shapes are generated from its OpenAPI document. */
import type { components } from './schema'

type Schemas = components['schemas']

export type Role = Schemas['Role']
export type Action = Schemas['Action']
export type Account = Schemas['AccountOut']
export type SignedIn = Schemas['SessionOut']
export type NewAccount = Schemas['FirstAccount']
export type Purpose = Schemas['PurposeOut']
export type Device = Schemas['TreeDeviceOut']
export type Channel = Schemas['ChannelOut']
export type Problem = Schemas['ProblemOut']
export type MediaTransport = Schemas['MediaTransport']
export type Refusal = Schemas['RefusalOut']
export type LiveAccess = Schemas['LiveOut']
export type LiveGrant = Schemas['LiveGrantOut']
export type LiveRequest = Schemas['LiveRequest']
export type Grant = Schemas['GrantOut']
export type AccessRecord = Schemas['AccessRecordOut']
export type LiveSession = Schemas['LiveSessionOut']
export type TimelineStep = Schemas['TimelineStepOut']
export type StreamStats = Schemas['StreamStatsOut']
export type Failure = Schemas['FailureOut']
export type AuditEntry = Schemas['AuditEntryOut']
export type Checkpoint = Schemas['CheckpointOut']
export type System = Schemas['System']
export type Params = Record<string, string | number>
