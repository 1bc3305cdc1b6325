/** Half hours of a day, and rectangles of them painted over a week. Pure. */

export const cellMinutes = 30
export const cellsADay = 48

/** The cells of the days `top` to `bottom` (0 is Monday) and the half hours `left` to `right`, all included. */
export interface Stroke {
  top: number
  bottom: number
  left: number
  right: number
  on: boolean
}

/** A minute of the day as a clock shows it; the last one is 24:00. */
export const clockOf = (minute: number) => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
export const clockOfCell = (cell: number) => clockOf(cell * cellMinutes)
