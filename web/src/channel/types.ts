/** Short names for what control answers; the shapes are generated from the server's OpenAPI document. */
import type { components, operations } from '@/api/schema'

type Schemas = components['schemas']

export type Command = Schemas['CommandOut']
export type CommandStep = Schemas['CommandStepOut']
export type CommandState = Schemas['CommandState']
export type Capability = Schemas['CapabilityOut']
export type Preset = Schemas['PresetOut']
export type ChannelDetail = Schemas['ChannelDetailOut']
export type ConfigBlock = Schemas['ConfigurationBlockOut']
export type ConfigType = operations['get_channel_configuration']['parameters']['query']['types'][number]
export type SteeringOrder = Schemas['SteeringOrderRequest']['order']
export type ManagingOrder = Schemas['ManagingOrderRequest']['order']
export type SteerVector = Required<Schemas['SteerRequest']>
export type SteeringLease = Schemas['SteeringOut']
