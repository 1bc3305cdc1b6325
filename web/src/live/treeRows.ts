/** What of a device's catalogue can be watched. Pure. */
import type { Channel, Device } from '@/api/types'

/** What can be watched; a catalogue also lists organisations, devices and alarm inputs. */
export function cameras(device: Device): Channel[] {
  return device.channels.filter((channel) => channel.kind === 'video')
}
