/** What people see while it runs: lines, and on a terminal one last line that changes. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

const isTerminal = (): boolean => process.stdout.isTTY === true

const write = (text: string): Effect.Effect<void> => Effect.sync(() => void process.stdout.write(text))

const clear = () => (isTerminal() ? "\r\x1b[K" : "")

/** A line that stays. */
export const line = (text: string): Effect.Effect<void> => write(`${clear()}${text}\n`)

/** `3 min 12 s`, `12 s`, `1.7 s`. */
export const duration = (millis: number): string => {
  const seconds = millis / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 60) return `${Math.round(seconds)} s`
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}

/** Runs something long: says so, and on a terminal for how long it has been running. Yields how long it took. */
export const during = <A, E, R>(label: string, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const started = yield* Clock.currentTimeMillis
    const elapsed = Effect.map(Clock.currentTimeMillis, (now) => now - started)
    const progress = Effect.flatMap(elapsed, (millis) => write(`${clear()}${label}, ${duration(millis)}`))
    if (!isTerminal()) yield* line(label)
    const value = yield* isTerminal()
      ? Effect.raceFirst(effect, Effect.forever(Effect.andThen(progress, Effect.sleep("1 second"))))
      : effect
    return { value, millis: yield* elapsed }
  })
