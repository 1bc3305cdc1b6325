import alarms from './alarms.json'
import bulk from './bulk.json'
import cascade from './cascade.json'
import catalogue from './catalogue.json'
import control from './control.json'
import channel from './channel.json'
import device from './device.json'
import diagnosis from './diagnosis.json'
import entry from './entry.json'
import exportWords from './exports.json'
import failures from './failures.json'
import history from './history.json'
import live from './live.json'
import manage from './manage.json'
import network from './network.json'
import playback from './playback.json'
import plans from './plans.json'
import player from './player.json'
import recording from './recording.json'
import recordings from './recordings.json'
import shell from './shell.json'
import sound from './sound.json'
import statistics from './statistics.json'
import voice from './voice.json'

export default {
  ...alarms,
  ...bulk,
  ...cascade,
  ...catalogue,
  ...control,
  ...channel,
  ...device,
  ...diagnosis,
  ...entry,
  ...exportWords,
  ...failures,
  ...history,
  ...live,
  ...manage,
  ...network,
  ...playback,
  ...plans,
  ...player,
  ...recording,
  ...recordings,
  ...shell,
  ...sound,
  ...statistics,
  ...voice,
}
