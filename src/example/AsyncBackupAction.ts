/**
 * `example.com/async-backup-action`: starts an operation that goes on after the action has answered.
 *
 * A ConfigMap with the annotation `backup.example.com/operation-seconds: "30"` has an operation of thirty seconds. Velero asks
 * for its progress every ten seconds, each time from a *new process* of this executable, so nothing that was in memory is left:
 * the operation's id says all that there is to know. When the operations of a backup are done, Velero backs up the
 * `postOperationItems` once more, which is when this action records the outcome.
 *
 * This operation is only time passing. One that a storage system or a Job carries out is started in a `commit` step, under a
 * name that follows from the id.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { info, type Note } from "../velero/Action.ts"
import * as Backup from "../velero/Backup.ts"
import * as BackupItemAction from "../velero/BackupItemAction.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import { InvalidOperation } from "../velero/Operation.ts"
import type { ResourceIdentifier } from "../velero/Resources.ts"
import * as View from "../velero/View.ts"

const annotation = {
  /** For the user to set: how long the operation takes. */
  seconds: "backup.example.com/operation-seconds",
  /** On the stored item, when the operation is over. */
  outcome: "backup.example.com/operation"
} as const

const Seconds = Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum: 86_400 }))

const ConfigMap = Schema.Struct({
  metadata: Schema.Struct({
    name: Schema.String,
    namespace: View.optional(Schema.String),
    annotations: View.optional(Schema.Struct({ [annotation.seconds]: Schema.optionalKey(Seconds) }))
  })
})

/** All that there is to know about an operation. */
export interface Operation {
  readonly item: string
  readonly started: DateTime.Utc
  readonly seconds: number
}

/** `2026-11-19T02:00:03.000Z+30s shop/settings` */
export const operationId = ({ item, seconds, started }: Operation): string =>
  `${DateTime.formatIso(started)}+${seconds}s ${item}`

/** The operation of an id, which may be anybody's. */
export const operationOf = (id: string): Effect.Effect<Operation, InvalidOperation> => {
  const [, started = "", seconds = "", item = ""] = /^(\S+)\+(\d{1,5})s (.+)$/s.exec(id) ?? []
  return Effect.fromOption(DateTime.make(started)).pipe(
    Effect.map((time) => ({ item, started: time, seconds: Number(seconds) })),
    Effect.mapError(() => new InvalidOperation({ operationId: id }))
  )
}

interface Facts {
  readonly isFinalizing: boolean
  readonly now: DateTime.Utc
}

interface Decision {
  readonly operation?: Operation
  readonly postOperationItems?: ReadonlyArray<ResourceIdentifier>
  readonly patches: ReadonlyArray<Patch>
  readonly notes: ReadonlyArray<Note>
}

export const transform = ({ metadata }: typeof ConfigMap.Type, { isFinalizing, now }: Facts): Decision => {
  const seconds = metadata.annotations?.[annotation.seconds]
  if (seconds === undefined) return { patches: [], notes: [] }
  // The second call, on the post-operation items: Velero would refuse a new operation now. How the first one ended is Velero's
  // to tell (`velero backup describe --details`).
  if (isFinalizing) {
    return {
      patches: [Json.set(["metadata", "annotations", annotation.outcome], "finished")],
      notes: [info("Operation recorded")]
    }
  }
  const { name } = metadata
  const namespace = metadata.namespace ?? ""
  return {
    operation: { item: `${namespace}/${name}`, started: now, seconds },
    postOperationItems: [{ group: "", resource: "configmaps", namespace, name }],
    patches: [],
    notes: [info(`Operation of ${seconds} seconds started`)]
  }
}

export const action = BackupItemAction.make({
  selector: { includedResources: ["configmaps"] },
  decode: ConfigMap,
  fetch: (_, { backup }) => Effect.map(DateTime.now, (now) => ({ now, isFinalizing: Backup.isFinalizing(backup) })),
  transform: (view, facts: Facts) => Result.succeed(transform(view, facts)),
  encode: (item, { notes, operation, patches, postOperationItems = [] }) => ({
    item: Item.patch(item, patches),
    ...(operation === undefined ? {} : { operationId: operationId(operation) }),
    postOperationItems,
    notes
  }),
  operations: {
    progress: Effect.fnUntraced(function* (request) {
      const { item, seconds, started } = yield* operationOf(request.operationId)
      const now = yield* DateTime.now
      const elapsed = Math.floor(Duration.toSeconds(DateTime.distance(started, now)))
      const done = Math.min(Math.max(elapsed, 0), seconds)
      return {
        completed: done === seconds,
        done: BigInt(done),
        total: BigInt(seconds),
        units: "seconds",
        description: `Waiting for ${item}`,
        started,
        updated: now
      }
    }),
    // Velero gives up after its --item-operation-timeout, asks once, and never again for progress. There is nothing to stop here.
    cancel: ({ operationId: id }) =>
      Effect.flatMap(operationOf(id), ({ item }) => Effect.logInfo(`Operation of ${item} cancelled`))
  }
})
