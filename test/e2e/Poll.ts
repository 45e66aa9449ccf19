/** Waiting for something to become true: always for a condition, always with a deadline, never for a time. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** It did not become true in time. */
export class TimedOut extends Data.TaggedError("TimedOut")<{
  readonly what: string
  readonly after: Duration.Duration
  /** The last attempt's error, if it ended with one. */
  readonly last: string | undefined
}> {
  override get message() {
    return `${this.what}: not within ${Duration.format(this.after)}${this.last === undefined ? "" : `; last: ${this.last}`}`
  }
}

class NotYet extends Data.TaggedError("NotYet") {}

/** Runs a check until it yields something other than `undefined`. Errors count as "not yet"; the last one is in the message. */
export const until = <A, E extends { readonly message: string }, R>(
  what: string,
  deadline: Duration.Input,
  check: Effect.Effect<A | undefined, E, R>,
  interval: Duration.Input = "100 millis"
): Effect.Effect<A, TimedOut, R> =>
  Effect.suspend(() => {
    let last: string | undefined
    const attempt = check.pipe(
      Effect.tapError((error) => Effect.sync(() => (last = error.message))),
      Effect.filterOrElse(
        (value) => value !== undefined,
        () => new NotYet()
      )
    )
    return attempt.pipe(
      Effect.retry(Schedule.spaced(interval)),
      Effect.timeout(deadline),
      Effect.mapError(() => new TimedOut({ what, after: Duration.fromInputUnsafe(deadline), last }))
    )
  })

/** The same, for a condition. */
export const untilTrue = <E extends { readonly message: string }, R>(
  what: string,
  deadline: Duration.Input,
  check: Effect.Effect<boolean, E, R>,
  interval?: Duration.Input
): Effect.Effect<void, TimedOut, R> =>
  Effect.asVoid(
    until(
      what,
      deadline,
      Effect.map(check, (value) => (value ? true : undefined)),
      interval
    )
  )
