/**
 * Makes, follows and gives up the CNPG Backups of `OnDemandBackup.ts`.
 *
 * One that is not there is made by whoever looks for it: by the action, or later by a question for its progress, where there were too
 * many before or the API server could not be asked. Under the same name, so that there is never a second one.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import type { KubernetesError } from "../kubernetes/Kubernetes.ts"
import { Kubernetes } from "../kubernetes/Kubernetes.ts"
import type { Failure } from "../velero/Action.ts"
import type { Backup } from "../velero/Backup.ts"
import type { BackupOperations } from "../velero/BackupItemAction.ts"
import type { Progress } from "../velero/Operation.ts"
import { resources } from "./Names.ts"
import type { Made, Operation } from "./OnDemandBackup.ts"
import * as OnDemandBackup from "./OnDemandBackup.ts"

export class OnDemandBackups extends Context.Service<
  OnDemandBackups,
  {
    /**
     * Makes the CNPG Backup of an operation, unless it is there or as many of the Velero backup are under way as may be. Several at
     * once are counted one after another.
     */
    readonly begin: (backup: Backup, operation: Operation) => Effect.Effect<"Begun" | "Queued", KubernetesError>
  }
>()("velero-plugin-cnpg/cnpg/OnDemandBackups") {}

const fieldManager = "velero-plugin-cnpg"

const make = Effect.gen(function* () {
  const kubernetes = yield* Kubernetes
  const lock = yield* Semaphore.make(1)

  const begin = Effect.fnUntraced(function* (backup: Backup, operation: Operation) {
    const underWay = yield* kubernetes.fold(
      resources.backups,
      { labelSelector: OnDemandBackup.selectorOf(backup) },
      (): ReadonlyArray<string> => [],
      (names, object) => (OnDemandBackup.isUnderWay(object) ? [...names, object.metadata?.name ?? ""] : names)
    )
    if (underWay.includes(operation.name)) return "Begun" as const
    if (underWay.length >= operation.parallel) return "Queued" as const
    yield* kubernetes.apply(resources.backups, OnDemandBackup.manifest(backup, operation), {
      fieldManager,
      force: false
    })
    return "Begun" as const
  })

  return OnDemandBackups.of({
    begin: (backup, operation) => Semaphore.withPermit(lock, begin(backup, operation))
  })
})

export const layer: Layer.Layer<OnDemandBackups, never, Kubernetes> = Layer.effect(OnDemandBackups, make)

/** The Backup of an operation, if there is one. */
export const find = ({ name, namespace }: Pick<Operation, "name" | "namespace">) =>
  Effect.flatMap(Kubernetes, (kubernetes) => kubernetes.get(resources.backups, namespace, name)).pipe(
    Effect.asSome,
    Effect.catchTag("NotFound", () => Effect.succeedNone)
  )

/** Removes just this one; that it is gone already is as good. */
const remove = ({ name, namespace }: Operation, { metadata }: Made): Effect.Effect<void, KubernetesError, Kubernetes> =>
  Effect.flatMap(Kubernetes, (kubernetes) =>
    kubernetes.delete(resources.backups, namespace, name, metadata.uid ?? "")
  ).pipe(Effect.catchTag("NotFound", () => Effect.void))

/** A Backup of the Cluster that an instance works on. */
const executing = ({ cluster, namespace }: Operation) =>
  Effect.flatMap(Kubernetes, (kubernetes) =>
    kubernetes.fold(
      resources.backups,
      { namespace },
      (): string | undefined => undefined,
      (found, object) => {
        const spec = object["spec"] as { readonly cluster?: { readonly name?: unknown } } | undefined
        const isExecuting =
          spec?.cluster?.name === cluster &&
          Option.exists(OnDemandBackup.decodeMade(object), OnDemandBackup.isExecuting)
        return found ?? (isExecuting ? object.metadata?.name : undefined)
      }
    )
  )

const look = Effect.fnUntraced(function* (
  backup: Backup,
  operation: Operation
): Effect.fn.Return<Progress, Failure, Kubernetes | OnDemandBackups> {
  const now = yield* DateTime.now
  const found = yield* find(operation)
  const made = Option.getOrUndefined(Option.flatMap(found, OnDemandBackup.decodeMade))
  if (made === undefined) {
    const begun = yield* (yield* OnDemandBackups).begin(backup, operation)
    return begun === "Queued"
      ? OnDemandBackup.queued(operation, now)
      : { completed: false, description: `${OnDemandBackup.title(operation)} is created`, started: now, updated: now }
  }
  const busyWith = OnDemandBackup.isLate(operation, made, now) ? yield* executing(operation) : undefined
  const { progress, remove: mustGo } = OnDemandBackup.report(operation, made, now, busyWith)
  if (!mustGo) return progress
  return yield* remove(operation, made).pipe(
    Effect.as(progress),
    Effect.catch((error) =>
      Effect.succeed({ ...progress, error: `${progress.error ?? ""}. It could not be removed: ${error.message}` })
    )
  )
})

export const operations: BackupOperations<Kubernetes | OnDemandBackups> = {
  progress: Effect.fnUntraced(function* ({ backup, operationId }) {
    const operation = yield* Effect.fromResult(OnDemandBackup.operationOf(operationId))
    return yield* look(backup, operation).pipe(
      // Velero fails an operation for the first question that fails. What may pass is worth the next one.
      Effect.catchTag("Unavailable", ({ message }) =>
        Effect.map(DateTime.now, (now) => OnDemandBackup.unreachable(operation, now, message))
      )
    )
  }),
  cancel: Effect.fnUntraced(function* ({ operationId }) {
    const operation = yield* Effect.fromResult(OnDemandBackup.operationOf(operationId))
    const made = Option.getOrUndefined(Option.flatMap(yield* find(operation), OnDemandBackup.decodeMade))
    if (made === undefined || OnDemandBackup.isDone(made)) return
    yield* remove(operation, made)
    yield* Effect.logInfo(`${OnDemandBackup.title(operation)} is removed, as Velero has given it up`)
  })
}

/** Whether `begin` of an operation can be left to the question for its progress. Yields what to say of it. */
export const beginOrLeave = (backup: Backup, operation: Operation) =>
  Effect.flatMap(OnDemandBackups, ({ begin }) => Effect.result(begin(backup, operation))).pipe(
    Effect.flatMap(
      Result.match({
        onSuccess: (begun) =>
          Effect.logInfo(
            begun === "Begun"
              ? `${OnDemandBackup.title(operation)} is created for this Velero backup`
              : `${OnDemandBackup.title(operation)} is created when one of the ${operation.parallel} of this Velero backup before it has ended`
          ),
        // The Cluster has to be stored all the same; the operation will fail with the same words.
        onFailure: ({ message }) =>
          Effect.logInfo(`${OnDemandBackup.title(operation)} could not be created yet: ${message}`)
      })
    )
  )
