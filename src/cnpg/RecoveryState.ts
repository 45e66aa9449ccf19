/**
 * How far a restored Cluster is, by what the operator says of it: pure functions over what was read.
 *
 * The operator reports in `status.phase` and `phaseReason`, `targetPrimary` (set when it begins with the first instance),
 * `readyInstances`, and the condition `ContinuousArchiving` (set with the first WAL that was archived, or was not). Its Jobs make the
 * instances. Nothing of that says when the phase began, so whatever bears a time counts as the last event.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/api/v1/cluster_types.go (ClusterStatus)
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/internal/controller/cluster_controller.go
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { KubernetesObject } from "../kubernetes/Kubernetes.ts"
import * as View from "../velero/View.ts"
import * as Archive from "./Archive.ts"
import { Cluster, describe, isReplica } from "./Cluster.ts"
import { externalClusterName, operatorAnnotation } from "./Names.ts"
import type { RecoveryOperation } from "./RecoveryOperation.ts"
import * as GoDuration from "./GoDuration.ts"
import * as WaitForRecovery from "./WaitForRecovery.ts"

// ------------------------------------------------------------------------------------------------------------------ views

const Condition = Schema.Struct({
  type: Schema.String,
  status: View.optional(Schema.String),
  reason: View.optional(Schema.String),
  message: View.optional(Schema.String),
  lastTransitionTime: View.optional(Schema.String)
})
type Condition = typeof Condition.Type

const Conditions = View.optional(Schema.Array(Condition))

/** What the Cluster's own view leaves out. */
const Reported = Schema.Struct({
  metadata: Schema.Struct({ deletionTimestamp: View.optional(Schema.String) }),
  spec: View.optional(
    Schema.Struct({
      instances: View.optional(Schema.Finite),
      bootstrap: View.optional(
        Schema.Struct({
          recovery: View.optional(
            Schema.Struct({ recoveryTarget: View.optional(Schema.Record(Schema.String, Schema.Unknown)) })
          )
        })
      )
    })
  ),
  status: View.optional(
    Schema.Struct({
      phase: View.optional(Schema.String),
      phaseReason: View.optional(Schema.String),
      readyInstances: View.optional(Schema.Finite),
      targetPrimary: View.optional(Schema.String),
      targetPrimaryTimestamp: View.optional(Schema.String),
      currentPrimary: View.optional(Schema.String),
      currentPrimaryTimestamp: View.optional(Schema.String),
      conditions: Conditions
    })
  )
})
type Reported = typeof Reported.Type

const Job = Schema.Struct({
  metadata: Schema.Struct({ name: Schema.String, creationTimestamp: View.optional(Schema.String) }),
  status: View.optional(
    Schema.Struct({
      ready: View.optional(Schema.Finite),
      failed: View.optional(Schema.Finite),
      startTime: View.optional(Schema.String),
      completionTime: View.optional(Schema.String),
      conditions: Conditions
    })
  )
})
/** A Job that makes an instance. */
export type Job = typeof Job.Type
export const decodeJob = Schema.decodeUnknownOption(Job)

const ContainerState = View.optional(
  Schema.Struct({
    waiting: View.optional(
      Schema.Struct({ reason: View.optional(Schema.String), message: View.optional(Schema.String) })
    ),
    running: View.optional(Schema.Struct({ startedAt: View.optional(Schema.String) })),
    terminated: View.optional(Schema.Struct({ finishedAt: View.optional(Schema.String) }))
  })
)
const ContainerStatuses = View.optional(
  Schema.Array(Schema.Struct({ name: Schema.String, state: ContainerState, lastState: ContainerState }))
)
const Pod = Schema.Struct({
  metadata: Schema.Struct({ name: Schema.String, creationTimestamp: View.optional(Schema.String) }),
  status: View.optional(
    Schema.Struct({
      phase: View.optional(Schema.String),
      conditions: Conditions,
      initContainerStatuses: ContainerStatuses,
      containerStatuses: ContainerStatuses
    })
  )
})
/** A Pod of a Job or of an instance. */
export type Pod = typeof Pod.Type
export const decodePod = Schema.decodeUnknownOption(Pod)

/** A Cluster as it is followed. */
export interface Followed {
  readonly cluster: Cluster
  readonly reported: Reported
}

const decodeParts = {
  cluster: Schema.decodeUnknownOption(Cluster),
  reported: Schema.decodeUnknownOption(Reported)
}

/** None for what is no Cluster. */
export const decodeFollowed = (object: KubernetesObject): Option.Option<Followed> =>
  Option.all({ cluster: decodeParts.cluster(object), reported: decodeParts.reported(object) })

/** What stands around the Cluster, as far as it was looked at. */
export interface Around {
  /** Those of the Cluster that are there. */
  readonly jobs?: ReadonlyArray<Job>
  /** Those of the Cluster and its Jobs that are there. */
  readonly pods?: ReadonlyArray<Pod>
  /** Names of ObjectStores that the Cluster needs and that are not there. */
  readonly missingStores?: ReadonlyArray<string>
}

// -------------------------------------------------------------------------------------------------------------- the verdict

export type Verdict = {
  /** For people. */
  readonly says: string
  readonly ready: number
  readonly instances: number
} & (
  | { readonly _tag: "Up" }
  | { readonly _tag: "Waiting" }
  /** It will not come up. */
  | { readonly _tag: "Failed" }
  /** Nothing has happened for longer than the limit. */
  | { readonly _tag: "Stalled" }
)

/**
 * How long something that may yet cure itself has: an operator that loads its plugins, an ObjectStore that somebody else applies.
 * Once an instance was begun such trouble passes, or the limit ends it.
 */
export const patience = Duration.minutes(1)

const healthy = "Cluster in healthy state"

/** Phases that nothing but a person changes. */
const final = ["Cluster is unrecoverable and needs manual intervention", "Invalid cluster definition"]

/** Phases in which the operator does not begin. */
const blocked = [
  "Cluster cannot proceed to reconciliation due to an unknown plugin being required",
  "Cluster cannot proceed to reconciliation due to an error while interacting with plugins",
  "Cluster has incomplete or invalid image catalog",
  "Unable to create required cluster objects"
]

/** Velero prints a description as one line. */
const oneLine = (text: string): string => text.trim().replace(/\s+/g, " ").slice(0, 500)

const phaseOf = ({ status }: Reported): string => {
  const reason = oneLine(status?.phaseReason ?? "")
  return `${status?.phase ?? ""}${reason === "" ? "" : `: ${reason}`}`
}

const conditionOf = (conditions: ReadonlyArray<Condition> | null | undefined, type: string): Condition | undefined =>
  conditions?.find((condition) => condition.type === type)

/** Whether the operator has begun with an instance. */
export const hasBegun = ({ reported }: Followed): boolean => !!reported.status?.targetPrimary

/** Whether WAL of it will be archived without anybody writing to it: a replica has none until its source has. */
const archives = (cluster: Cluster): boolean =>
  !isReplica(cluster) && cluster.metadata.annotations?.[operatorAnnotation.skipWalArchiving] !== "enabled"

const archivingOf = ({ reported }: Followed): Condition | undefined =>
  conditionOf(reported.status?.conditions, "ContinuousArchiving")

const isUp = (followed: Followed, ready: number, instances: number): boolean =>
  followed.reported.status?.phase === healthy &&
  ready >= instances &&
  (!archives(followed.cluster) || archivingOf(followed)?.status === "True")

/** Hibernation begins when the Cluster has been healthy. */
const isHibernated = ({ reported }: Followed): boolean =>
  conditionOf(reported.status?.conditions, operatorAnnotation.hibernation)?.status === "True"

// ----------------------------------------------------------------------------------------------------------------- problems

/** What tells that this is not the Cluster that was restored; `undefined`: it is. */
const strange = ({ cluster, reported }: Followed, { destination }: RecoveryOperation): string | undefined => {
  if (reported.metadata.deletionTimestamp) return "it is being deleted"
  const archive = Archive.find(cluster)
  if (!Archive.isRecoverable(archive)) return "it does not archive any more: somebody has replaced or changed it"
  return archive.serverName === destination
    ? undefined
    : `it archives under ${archive.serverName} instead of ${destination}: somebody has replaced or changed it`
}

const failedJob = (jobs: ReadonlyArray<Job>, { namespace }: RecoveryOperation): string | undefined => {
  for (const { metadata, status } of jobs) {
    const failed = conditionOf(status?.conditions, "Failed")
    if (failed?.status === "True") {
      return `Job ${metadata.name} failed: ${oneLine(failed.message || failed.reason || "no reason is given")}. Its log may tell why: kubectl logs -n ${namespace} job/${metadata.name} --all-containers`
    }
  }
  return undefined
}

/** Why the operator does not begin, as far as anything says so. */
const obstacle = ({ cluster, reported }: Followed, { missingStores = [] }: Around): string | undefined => {
  if (cluster.metadata.annotations?.[operatorAnnotation.reconciliationLoop] === "disabled") {
    return `its annotation ${operatorAnnotation.reconciliationLoop} tells the operator to leave it alone`
  }
  if (missingStores.length > 0) return `there is no ObjectStore ${missingStores.join(", ")} in its namespace`
  return blocked.includes(reported.status?.phase ?? "") ? `the operator says: ${phaseOf(reported)}` : undefined
}

/** Why Pods do not run. */
const podProblem = (pods: ReadonlyArray<Pod>): string | undefined => {
  for (const { metadata, status } of pods) {
    const unscheduled = conditionOf(status?.conditions, "PodScheduled")
    if (unscheduled?.status === "False") {
      return `Pod ${metadata.name} is not scheduled: ${oneLine(unscheduled.message || unscheduled.reason || "")}`
    }
    for (const { name, state } of [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]) {
      const { message, reason } = state?.waiting ?? {}
      if (reason && reason !== "PodInitializing") {
        return `Pod ${metadata.name}, container ${name}: ${oneLine([reason, message ?? ""].join(" "))}`
      }
    }
  }
  const pending = pods.find(({ status }) => status?.phase === "Pending")
  return pending === undefined ? undefined : `Pod ${pending.metadata.name} is Pending`
}

// ------------------------------------------------------------------------------------------------------------------ events

const isFinished = ({ status }: Job): boolean =>
  ["Complete", "Failed"].some((type) => conditionOf(status?.conditions, type)?.status === "True")

/** A Pod of it runs, or has failed so that another one will be made until the Job's own limit. */
const isAtWork = (job: Job): boolean =>
  !isFinished(job) && ((job.status?.ready ?? 0) > 0 || (job.status?.failed ?? 0) > 0)

const timesOf = ({ cluster, reported: { status } }: Followed, { jobs = [], pods = [] }: Around) => {
  const ofConditions = (conditions: ReadonlyArray<Condition> | null | undefined) =>
    (conditions ?? []).map(({ lastTransitionTime }) => lastTransitionTime)
  return [
    cluster.metadata.creationTimestamp,
    status?.targetPrimaryTimestamp,
    status?.currentPrimaryTimestamp,
    ...ofConditions(status?.conditions),
    ...jobs.flatMap((job) => [
      job.metadata.creationTimestamp,
      job.status?.startTime,
      job.status?.completionTime,
      ...ofConditions(job.status?.conditions)
    ]),
    ...pods.flatMap((pod) => [
      pod.metadata.creationTimestamp,
      ...ofConditions(pod.status?.conditions),
      ...[...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])].flatMap(
        ({ lastState, state }) => [
          state?.running?.startedAt,
          state?.terminated?.finishedAt,
          lastState?.terminated?.finishedAt
        ]
      )
    ])
  ]
}

/** Epoch milliseconds of the last thing that happened. The primary's timestamps have fractions of a second, the others have none. */
const lastEvent = (followed: Followed, around: Around, { started }: RecoveryOperation, now: number): number => {
  if ((around.jobs ?? []).some(isAtWork)) return now
  const times = timesOf(followed, around).flatMap((time) =>
    Option.match(time ? DateTime.make(time) : Option.none(), {
      onNone: () => [],
      onSome: (at) => [DateTime.toEpochMillis(at)]
    })
  )
  // A clock that is ahead must not put the end off.
  return Math.max(DateTime.toEpochMillis(started), ...times.filter((time) => time <= now))
}

// ------------------------------------------------------------------------------------------------------------------- words

/** `backup 20261119T020003 of server name orders-v1, targetTime 2026-11-19T09:30:00Z` */
const sourceOf = ({ cluster, reported }: Followed): string => {
  const { backupID, ...target } = reported.spec?.bootstrap?.recovery?.recoveryTarget ?? {}
  const external = cluster.spec?.externalClusters?.find(({ name }) => name === externalClusterName)
  const serverName = external?.plugin?.parameters?.["serverName"] ?? external?.barmanObjectStore?.serverName
  return [
    `${backupID === undefined ? "the newest backup" : `backup ${String(backupID)}`}${serverName ? ` of server name ${serverName}` : ""}`,
    ...Object.entries(target).map(([field, value]) => `${field} ${String(value)}`)
  ].join(", ")
}

const jobWords = (job: Job): string => {
  const { failed, ready } = job.status ?? {}
  const attempts = failed ? `, ${failed} ${failed === 1 ? "attempt has" : "attempts have"} failed` : ""
  return `Job ${job.metadata.name} ${ready ? "runs" : "waits for its Pod"}${attempts}`
}

const waitingWords = (
  followed: Followed,
  { jobs = [] }: Around,
  operation: RecoveryOperation,
  count: string
): string => {
  const { cluster, reported } = followed
  const phase = phaseOf(reported)
  const job = jobs.find((each) => !isFinished(each))
  if (!reported.status?.currentPrimary) {
    const aim = operation.from === "volumes" ? "starting on its volumes" : `recovering from ${sourceOf(followed)}`
    if (job !== undefined) return `${aim}: ${jobWords(job)}`
    return `${aim}: ${hasBegun(followed) ? phase : phase || "the operator has not begun"}`
  }
  if (job !== undefined) return `${count}; ${jobWords(job)}`
  if (reported.status.phase !== healthy || !archives(cluster)) return `${count}; ${phase}`
  const archiving = archivingOf(followed)
  return archiving?.status === "False"
    ? `${count}; archiving under ${operation.destination} fails: ${oneLine(archiving.message ?? archiving.reason ?? "")}`
    : `${count}; waiting for the first WAL under ${operation.destination}`
}

/** How far it is at a time, in epoch milliseconds. */
export const judge = (operation: RecoveryOperation, followed: Followed, around: Around, now: number): Verdict => {
  const { cluster, reported } = followed
  const instances = reported.spec?.instances ?? 1
  const ready = reported.status?.readyInstances ?? 0
  const count = `${ready} of ${instances} instances ready`
  const verdict = (_tag: Verdict["_tag"], says: string): Verdict => ({ _tag, says, ready, instances })
  const failed = (problem: string) => verdict("Failed", `${describe(cluster)}: ${problem}`)

  const other = strange(followed, operation)
  if (other !== undefined) return failed(other)
  if (isUp(followed, ready, instances)) {
    return verdict("Up", archives(cluster) ? `${count}, archives under ${operation.destination}` : count)
  }
  if (isHibernated(followed)) return verdict("Up", "has been healthy, and is hibernated now")
  if (final.includes(reported.status?.phase ?? "")) return failed(`the operator says: ${phaseOf(reported)}`)
  const job = failedJob(around.jobs ?? [], operation)
  if (job !== undefined) return failed(job)

  const since = now - DateTime.toEpochMillis(operation.started)
  const problem = hasBegun(followed) ? undefined : obstacle(followed, around)
  if (problem !== undefined && since >= Duration.toMillis(patience)) return failed(problem)
  const says = problem ?? waitingWords(followed, around, operation, count)
  if (now - lastEvent(followed, around, operation, now) < Duration.toMillis(operation.limit)) {
    return verdict("Waiting", says)
  }
  const pod = podProblem(around.pods ?? [])
  return verdict(
    "Stalled",
    `${describe(cluster)}: nothing has happened for ${GoDuration.format(operation.limit)} (${WaitForRecovery.setting.annotation}); last seen: ${says}${pod === undefined ? "" : `; ${pod}`}`
  )
}
