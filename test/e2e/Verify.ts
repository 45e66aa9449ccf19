/** What a scenario verifies. A failure is noted and the scenario goes on, so that one run shows all that is wrong. */
import { isDeepStrictEqual } from "node:util"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

export class Verify extends Context.Service<Verify, { readonly failures: Array<string> }>()(
  "velero-plugin-cnpg/e2e/Verify"
) {}

/** Notes a failure unless the statement holds. `seen` says what was there instead. */
export const that = (statement: string, holds: boolean, seen?: string): Effect.Effect<void, never, Verify> =>
  Verify.useSync(({ failures }) => {
    if (!holds) failures.push(seen === undefined ? `not so: ${statement}` : `not so: ${statement}; seen: ${seen}`)
  })

/** The same, for equality. */
export const equal = <A>(what: string, seen: A, expected: A): Effect.Effect<void, never, Verify> =>
  that(`${what} is ${show(expected)}`, isDeepStrictEqual(seen, expected), show(seen))

/** Goes on after an effect that fails, and notes why it did. */
export const attempt = <A, E extends { readonly message: string }, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A | undefined, never, R | Verify> =>
  Effect.catch(effect, ({ message }) => Verify.useSync(({ failures }) => void failures.push(message)))

const show = (value: unknown): string => JSON.stringify(value) ?? "undefined"
