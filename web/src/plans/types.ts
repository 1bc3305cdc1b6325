/** Short names for what the server says of recording. */
import type { components } from '@/api/schema'

type Schemas = components['schemas']

export type Plan = Schemas['PlanOut']
export type PlanIn = Schemas['PlanIn']
export type PlanMode = Schemas['PlanMode']
export type LegalClass = Schemas['LegalClass']
export type TrackStatus = Schemas['TrackOut']
export type TrackState = Schemas['TrackState']
export type Gap = Schemas['GapOut']
export type GapReason = Schemas['GapReason']
export type Hold = Schemas['HoldOut']
export type Tombstone = Schemas['TombstoneOut']
export type Disk = Schemas['DiskOut']
export type DiskPolicy = Schemas['DiskPolicy']
export type Forecast = Schemas['ForecastOut']
export type Outlook = Schemas['OutlookOut']
export type ChannelStanding = Schemas['ChannelStandingOut']
