/**
 * Initialized object stores and snapshotters of one process.
 *
 * Velero may initialize the same plugin several times, with the configurations of several locations, and names none of them in
 * the calls that follow. What tells locations apart there is the bucket; an instance that another one of the same key replaces
 * is closed, as soon as no call uses it any more: a backup may be uploaded while another request initializes the store again.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

/** A call came before `Init`; Velero initializes a plugin anew whenever its process was restarted. */
export class NotInitialized extends Data.TaggedError("NotInitialized")<{ readonly plugin: string }> {
  override get message() {
    return `${this.plugin} was called before it was initialized`
  }
}

interface Instance<A> {
  readonly operations: A
  readonly scope: Scope.Closeable
  /** Calls under way. */
  users: number
  isReplaced: boolean
}

const closeUnused = <A>({ isReplaced, scope, users }: Instance<A>): Effect.Effect<void> =>
  isReplaced && users === 0 ? Scope.close(scope, Exit.void) : Effect.void

export const make = <A>() => {
  const byKey = new Map<string, Instance<A>>()
  const latest = new Map<string, Instance<A>>()
  const keyOf = (plugin: string, key: string) => `${plugin} ${key}`
  return {
    /** Makes an instance, and replaces the one of the same key. A failure leaves the old one in charge. */
    init: <E, R>(
      plugin: string,
      key: string,
      initialize: Effect.Effect<A, E, R | Scope.Scope>
    ): Effect.Effect<void, E, Exclude<R, Scope.Scope>> =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const operations = yield* Scope.provide(initialize, scope).pipe(
          Effect.onError(() => Scope.close(scope, Exit.void))
        )
        const previous = byKey.get(keyOf(plugin, key))
        const instance: Instance<A> = { operations, scope, users: 0, isReplaced: false }
        byKey.set(keyOf(plugin, key), instance)
        latest.set(plugin, instance)
        if (previous === undefined) return
        previous.isReplaced = true
        yield* closeUnused(previous)
      }),
    /** Calls the instance of a key, else the one that was initialized last. */
    use: <B, E, R>(
      plugin: string,
      key: string,
      call: (operations: A) => Effect.Effect<B, E, R>
    ): Effect.Effect<B, E | NotInitialized, R> =>
      Effect.acquireUseRelease(
        Effect.suspend(() => {
          const instance = byKey.get(keyOf(plugin, key)) ?? latest.get(plugin)
          if (instance === undefined) return Effect.fail(new NotInitialized({ plugin }))
          instance.users++
          return Effect.succeed(instance)
        }),
        ({ operations }) => call(operations),
        (instance) => {
          instance.users--
          return closeUnused(instance)
        }
      )
  }
}
