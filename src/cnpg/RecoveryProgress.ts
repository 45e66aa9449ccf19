/**
 * Follows a restored Cluster until it is up. Velero starts a process for that every ten seconds, so it asks for the Cluster, for its
 * Jobs or its ObjectStores only where the Cluster does not say enough, and for Pods only before it gives up.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { KubernetesObject, Resource } from "../kubernetes/Kubernetes.ts"
import { Kubernetes, resources as coreResources } from "../kubernetes/Kubernetes.ts"
import type { Progress } from "../velero/Operation.ts"
import type { RestoreOperations } from "../velero/RestoreItemAction.ts"
import * as Archive from "./Archive.ts"
import { externalClusterName, label, resources } from "./Names.ts"
import type { RecoveryOperation } from "./RecoveryOperation.ts"
import * as Operation from "./RecoveryOperation.ts"
import * as State from "./RecoveryState.ts"
import * as GoDuration from "./GoDuration.ts"

/** All of a kind that bear the Cluster's label. Where they may not be read, or cannot be now, the Cluster's own words have to do. */
const listOf = <A>(
  resource: Resource,
  { cluster, namespace }: RecoveryOperation,
  decode: (object: KubernetesObject) => Option.Option<A>
): Effect.Effect<ReadonlyArray<A>, never, Kubernetes> =>
  Effect.flatMap(Kubernetes, (kubernetes) =>
    kubernetes.fold(
      resource,
      { namespace, labelSelector: `${label.cluster}=${cluster}` },
      () => [] as Array<A>,
      (found, object) => {
        found.push(...Option.toArray(decode(object)))
        return found
      }
    )
  ).pipe(Effect.catch((error) => Effect.as(Effect.logDebug(error.message), [])))

/** The ObjectStores that a Cluster reads from and writes to. */
const storesOf = ({ cluster }: State.Followed): ReadonlySet<string> => {
  const archive = Archive.find(cluster)
  const source = cluster.spec?.externalClusters?.find(({ name }) => name === externalClusterName)?.plugin
  return new Set(
    [
      source?.parameters?.["barmanObjectName"],
      archive._tag === "Plugin" ? archive.barmanObjectName : undefined
    ].flatMap((name) => (name ? [name] : []))
  )
}

const missingStores = Effect.fnUntraced(function* (followed: State.Followed, { namespace }: RecoveryOperation) {
  const kubernetes = yield* Kubernetes
  return yield* Effect.filter([...storesOf(followed)], (name) =>
    kubernetes.get(resources.objectStores, namespace, name).pipe(
      Effect.as(false),
      Effect.catch((error) => Effect.succeed(error._tag === "NotFound"))
    )
  )
})

/** Reads as little as the verdict needs. */
const verdictOf = Effect.fnUntraced(function* (
  operation: RecoveryOperation,
  followed: State.Followed,
  now: number
): Effect.fn.Return<State.Verdict, never, Kubernetes> {
  const first = State.judge(operation, followed, {}, now)
  if (first._tag === "Up" || first._tag === "Failed") return first
  if (!State.hasBegun(followed)) {
    return State.judge(operation, followed, { missingStores: yield* missingStores(followed, operation) }, now)
  }
  const jobs = yield* listOf(coreResources.jobs, operation, State.decodeJob)
  const second = State.judge(operation, followed, { jobs }, now)
  if (second._tag !== "Stalled") return second
  return State.judge(
    operation,
    followed,
    { jobs, pods: yield* listOf(resources.pods, operation, State.decodePod) },
    now
  )
})

/** What Velero is told. It keeps the last description, and shows the error beside it. */
const progressOf = ({ _tag, instances, ready, says }: State.Verdict): Progress => ({
  completed: _tag !== "Waiting",
  ...(_tag === "Failed" || _tag === "Stalled" ? { error: says } : {}),
  description: says,
  done: BigInt(ready),
  total: BigInt(instances),
  units: "instances"
})

const place = ({ cluster, namespace }: RecoveryOperation): string => `Cluster ${namespace}/${cluster}`

const absent = (operation: RecoveryOperation): Progress => {
  const says = `${place(operation)} is not there: Velero could not create it (the restore's errors and warnings say why), or somebody has deleted it`
  return { completed: true, error: says, description: says }
}

const unreadable = (operation: RecoveryOperation): Progress => {
  const says = `${place(operation)} cannot be read: it is not as CloudNativePG's API defines a Cluster`
  return { completed: true, error: says, description: says }
}

const look = Effect.fnUntraced(function* (operation: RecoveryOperation, now: number) {
  const kubernetes = yield* Kubernetes
  return yield* kubernetes.get(resources.clusters, operation.namespace, operation.cluster).pipe(
    Effect.flatMap((object) =>
      Option.match(State.decodeFollowed(object), {
        onNone: () => Effect.succeed(unreadable(operation)),
        onSome: (followed) => Effect.map(verdictOf(operation, followed, now), progressOf)
      })
    ),
    Effect.catchTags({
      NotFound: () => Effect.succeed(absent(operation)),
      // A failure would end the operation for good, for a moment's trouble. Velero's own time-out ends what lasts.
      Unavailable: (error) =>
        Effect.succeed<Progress>({
          completed: false,
          description: `${place(operation)} cannot be looked at: ${error.message}`
        })
    })
  )
})

export const operations: RestoreOperations<Kubernetes> = {
  progress: Effect.fnUntraced(function* ({ operationId }) {
    const operation = yield* Operation.ofId(operationId)
    const now = yield* DateTime.now
    const progress = yield* look(operation, DateTime.toEpochMillis(now))
    return { ...progress, started: operation.started, updated: now }
  }),
  // Velero gives up after its --item-operation-timeout. What recovers goes on recovering.
  cancel: ({ operationId }) =>
    Effect.flatMap(Operation.ofId(operationId), (operation) =>
      Effect.logInfo(`${place(operation)} is not waited for any longer; nothing is done to it`)
    )
}

/** What the log says of a Cluster that will be followed. */
export const announcement = ({ limit }: RecoveryOperation): string =>
  `the restore waits until it is up, and gives up when nothing has happened for ${GoDuration.format(limit)}`
