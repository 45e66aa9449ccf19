/** Answers that hold for one Velero Backup or Restore: asked for once, by whoever comes first, and forgotten with it. */
import * as Effect from "effect/Effect"

/** Runs each key's effect once for the current owner, which is the Backup or Restore; waits for the one that is under way. */
export const makeOnce = () => {
  let owner = ""
  let known = new Map<string, Effect.Effect<unknown>>()
  return <A>(forOwner: string, key: string, effect: Effect.Effect<A>): Effect.Effect<A> =>
    Effect.suspend(() => {
      if (forOwner !== owner) {
        owner = forOwner
        known = new Map()
      }
      const existing = known.get(key) as Effect.Effect<A> | undefined
      if (existing !== undefined) return existing
      return Effect.flatMap(Effect.cached(effect), (cached) => {
        const raced = known.get(key) as Effect.Effect<A> | undefined
        if (raced !== undefined) return raced
        known.set(key, cached)
        return cached
      })
    })
}
