/**
 * The CNPG Backup that is made of a Cluster for one Velero backup: its name, its manifest, the operation that Velero follows, and
 * what its status means. Pure.
 *
 * The name follows from the Velero Backup's UID and the Cluster, so that a second attempt finds the first one's Backup. The
 * operation's id holds what an answer needs, since every question comes to a new process.
 *
 * A Backup that nothing has begun yet keeps the operator from every later one of its Cluster, so none is left behind.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/api/v1/backup_funcs.go (CanExecuteBackup)
 */
import { createHash } from "node:crypto"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { KubernetesObject } from "../kubernetes/Kubernetes.ts"
import type { Backup as VeleroBackup } from "../velero/Backup.ts"
import * as BackupView from "../velero/Backup.ts"
import type { Progress } from "../velero/Operation.ts"
import { InvalidOperation } from "../velero/Operation.ts"
import * as View from "../velero/View.ts"
import type { Recoverable } from "./Archive.ts"
import type { Cluster } from "./Cluster.ts"
import { describe } from "./Cluster.ts"
import { annotation, cnpgGroup, label, ownLabel, plugin } from "./Names.ts"
import * as GoDuration from "./GoDuration.ts"
import * as Setting from "./Setting.ts"

// --------------------------------------------------------------------------------------------------------------- settings

const onBackup = { plugin: plugin.clusterBackup, on: "Backup", isOfCluster: true } as const

/** Whether a backup is made. */
export const asked: Setting.Setting<"true" | "false"> = {
  ...onBackup,
  annotation: annotation.onDemandBackup,
  key: "onDemandBackup",
  values: "true or false",
  default: "false",
  description:
    "Whether a CNPG Backup of the Cluster is made for this Velero backup. The Velero backup is completed when it is, and the Cluster then recovers from it.",
  parse: Setting.oneOf("true", "false")
}

/** In seconds; 0: for ever. */
export const startTimeout: Setting.Setting<number> = {
  ...onBackup,
  annotation: annotation.onDemandBackupStartTimeout,
  key: "onDemandBackupStartTimeout",
  values: GoDuration.values,
  default: "15m",
  description:
    "How long the operator may take to begin such a Backup. The time that it waits for another Backup of the same Cluster does not count. Then the Backup is removed, and its operation fails. `0`: it may take for ever. How long a Backup may run is Velero's `--item-operation-timeout`.",
  parse: (text) => Option.map(GoDuration.parse(text), Duration.toSeconds)
}

/** How many run at once. */
export const parallel: Setting.Setting<number> = {
  ...onBackup,
  annotation: annotation.onDemandBackupParallel,
  key: "onDemandBackupParallel",
  isOfCluster: false,
  values: "a number from 1 to 999",
  default: "4",
  description: "How many such Backups of one Velero backup run at once; the others wait.",
  parse: (text) => (/^[1-9]\d{0,2}$/.test(text) ? Option.some(Number(text)) : Option.none())
}

export const settings = [asked, startTimeout, parallel] as const

/** The part of an action's steps that reads them from the ConfigMap of the Cluster's action, which has to agree with the others. */
export const configuration = { config: Setting.config(settings), configuredAs: plugin.clusterBackup }

// ------------------------------------------------------------------------------------------------------------------- names

const hash = (...parts: ReadonlyArray<string>): string =>
  createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 12)

/** `orders-velero-0123456789ab`: a DNS name, as the operator allows Clusters 50 characters. */
const nameFor = (veleroUid: string, namespace: string, cluster: string): string =>
  `${cluster}-velero-${hash(veleroUid, namespace, cluster)}`

/** The text, if it can be a label's value. */
const labelValue = (text: string): string =>
  /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(text) ? text : hash(text)

const uidOf = (backup: VeleroBackup): string => labelValue(BackupView.key(backup))

/** The name of the CNPG Backup that is made of a Cluster for a Velero backup. */
export const nameOf = (backup: VeleroBackup, namespace: string, cluster: string): string =>
  nameFor(uidOf(backup), namespace, cluster)

/**
 * Whether a CNPG Backup was made of a Cluster for a Velero backup. By the name of the Velero Backup and not its UID, which is another one
 * after Velero has found the backup again in its object store; the name of the CNPG Backup tells of the first UID.
 */
export const isMadeFor = (backup: VeleroBackup, namespace: string, cluster: string, { metadata }: Made): boolean => {
  const labels = metadata.labels ?? {}
  return (
    labels[label.cluster] === cluster &&
    labels[ownLabel.veleroBackup] === labelValue(backup.metadata?.name ?? "") &&
    metadata.name === nameFor(labels[ownLabel.veleroBackupUid] ?? "", namespace, cluster)
  )
}

/** Selects the CNPG Backups of a Velero backup. */
export const selectorOf = (backup: VeleroBackup): string => `${ownLabel.veleroBackupUid}=${uidOf(backup)}`

// -------------------------------------------------------------------------------------------------------------- operations

/** A backup to be made. */
export interface Operation {
  readonly namespace: string
  readonly name: string
  readonly cluster: string
  /** The plugin that makes it; `undefined`: the in-tree method. */
  readonly plugin: string | undefined
  /** Seconds; 0: for ever. */
  readonly startTimeout: number
  readonly parallel: number
  readonly since: DateTime.Utc
}

/** Whether a backup of a Cluster is asked for; `name` as messages call it. */
export const isAsked = (
  backup: VeleroBackup,
  cluster: NonNullable<Setting.Places["cluster"]>,
  config: Setting.Config
): Result.Result<boolean, Setting.InvalidSetting> =>
  Result.map(Setting.choose(asked, { velero: backup, cluster, config }), (text) => text === "true")

/** The operation of a Velero backup on a Cluster, for one that is asked for. */
export const plan = (
  backup: VeleroBackup,
  cluster: Cluster,
  archive: Recoverable,
  config: Setting.Config,
  since: DateTime.Utc
): Result.Result<Operation, Setting.InvalidSetting> => {
  const { annotations, name, namespace = "" } = cluster.metadata
  const places = { velero: backup, cluster: { name: describe(cluster), annotations }, config }
  return Result.map(
    Result.all([Setting.choose(startTimeout, places), Setting.choose(parallel, places)] as const),
    ([within, atOnce]) => ({
      namespace: namespace ?? "",
      name: nameOf(backup, namespace ?? "", name),
      cluster: name,
      plugin: archive._tag === "Plugin" ? archive.plugin : undefined,
      startTimeout: within,
      parallel: atOnce,
      since
    })
  )
}

const inTree = "barmanObjectStore"

/** `shop/orders-velero-0123456789ab cluster=orders by=barman-cloud.cloudnative-pg.io start-timeout=900s parallel=4 since=…` */
export const operationId = (operation: Operation): string =>
  [
    `${operation.namespace}/${operation.name}`,
    `cluster=${operation.cluster}`,
    `by=${operation.plugin ?? inTree}`,
    `start-timeout=${operation.startTimeout}s`,
    `parallel=${operation.parallel}`,
    `since=${DateTime.formatIso(operation.since)}`
  ].join(" ")

const idPattern =
  /^([a-z0-9.-]+)\/([a-z0-9.-]+) cluster=([a-z0-9.-]+) by=(\S+) start-timeout=(\d+)s parallel=(\d+) since=(\S+)$/

/** The operation of an id, which may be anybody's. */
export const operationOf = (id: string): Result.Result<Operation, InvalidOperation> => {
  const [, namespace = "", name = "", cluster = "", by = "", within = "", atOnce = "", since = ""] =
    idPattern.exec(id) ?? []
  return Option.match(DateTime.make(since), {
    onNone: () => Result.fail(new InvalidOperation({ operationId: id })),
    onSome: (time) =>
      Result.succeed({
        namespace,
        name,
        cluster,
        plugin: by === inTree ? undefined : by,
        startTimeout: Number(within),
        parallel: Number(atOnce),
        since: time
      })
  })
}

/** The CNPG Backup of an operation. No owner: it outlives the Cluster as those of users do. */
export const manifest = (backup: VeleroBackup, operation: Operation): KubernetesObject => ({
  apiVersion: `${cnpgGroup}/v1`,
  kind: "Backup",
  metadata: {
    name: operation.name,
    namespace: operation.namespace,
    labels: {
      [label.cluster]: operation.cluster,
      [ownLabel.veleroBackup]: labelValue(backup.metadata?.name ?? ""),
      [ownLabel.veleroBackupUid]: uidOf(backup)
    }
  },
  spec: {
    cluster: { name: operation.cluster },
    ...(operation.plugin === undefined
      ? { method: inTree }
      : { method: "plugin", pluginConfiguration: { name: operation.plugin } })
  }
})

// ------------------------------------------------------------------------------------------------------------------ status

/** What is read of a CNPG Backup of ours. */
export const Made = Schema.Struct({
  metadata: View.Metadata,
  status: View.optional(
    Schema.Struct({
      phase: View.optional(Schema.String),
      error: View.optional(Schema.String),
      startedAt: View.optional(Schema.String),
      stoppedAt: View.optional(Schema.String),
      backupId: View.optional(Schema.String),
      beginWal: View.optional(Schema.String),
      endWal: View.optional(Schema.String),
      endLSN: View.optional(Schema.String),
      instanceID: View.optional(Schema.Struct({ podName: View.optional(Schema.String) }))
    })
  )
})
export interface Made extends Schema.Schema.Type<typeof Made> {}

export const decodeMade = Schema.decodeUnknownOption(Made)

const startedPhases: ReadonlyArray<string> = ["started", "running", "finalizing"]
const donePhases: ReadonlyArray<string> = ["completed", "failed"]

const phaseOf = ({ status }: Made): string => status?.phase ?? ""

/** Whether the operator will not touch it any more. */
export const isDone = (made: Made): boolean => donePhases.includes(phaseOf(made))

/** Whether an instance works on it. */
export const isExecuting = (made: Made): boolean => startedPhases.includes(phaseOf(made))

/** Of several objects, how many CNPG Backups are still to be done. */
export const isUnderWay = (object: KubernetesObject): boolean =>
  Option.match(decodeMade(object), { onNone: () => true, onSome: (made) => !isDone(made) })

const timeOf = (text: string | null | undefined): DateTime.Utc | undefined =>
  Option.getOrUndefined(DateTime.make(text ?? ""))

/** `1h02m05s`, `5s` */
export const span = (from: DateTime.Utc, to: DateTime.Utc): string => {
  const total = Math.max(0, Math.floor((DateTime.toEpochMillis(to) - DateTime.toEpochMillis(from)) / 1000))
  const [hours, minutes, seconds] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60]
  const two = (count: number) => String(count).padStart(2, "0")
  if (hours > 0) return `${hours}h${two(minutes)}m${two(seconds)}s`
  return minutes > 0 ? `${minutes}m${two(seconds)}s` : `${seconds}s`
}

/** What there is to tell Velero, and whether the Backup goes. */
export interface Report {
  readonly progress: Progress
  /** It will never end, or must not begin any more. */
  readonly remove: boolean
}

/** `CNPG Backup shop/orders-velero-0123456789ab` */
export const title = ({ name, namespace }: Pick<Operation, "name" | "namespace">): string =>
  `CNPG Backup ${namespace}/${name}`

const sentence = (text: string): string => text.trim().replace(/\s*\n\s*/g, "; ")

const stays = "What older backup is recorded of the Cluster stays valid"

/** Of one that waits for others of the same Velero backup. */
export const queued = (operation: Operation, now: DateTime.Utc): Progress => ({
  completed: false,
  description: `${title(operation)} waits: ${operation.parallel} of this Velero backup at once (${annotation.onDemandBackupParallel})`,
  started: operation.since,
  updated: now
})

/** Of one that cannot be looked at just now. */
export const unreachable = (operation: Operation, now: DateTime.Utc, problem: string): Progress => ({
  completed: false,
  description: `${title(operation)}: ${sentence(problem)}`,
  started: operation.since,
  updated: now
})

/** Whether the operator has had its time to begin. */
export const isLate = (operation: Operation, made: Made, now: DateTime.Utc): boolean => {
  if (operation.startTimeout === 0 || isDone(made) || !["", "pending"].includes(phaseOf(made))) return false
  const created = timeOf(made.metadata.creationTimestamp) ?? operation.since
  return DateTime.toEpochMillis(now) - DateTime.toEpochMillis(created) > operation.startTimeout * 1000
}

/** What a Backup's status says; `busyWith`: another Backup of the Cluster that runs, looked for where this one is late. */
export const report = (operation: Operation, made: Made, now: DateTime.Utc, busyWith?: string): Report => {
  const { status } = made
  const name = title(operation)
  const created = timeOf(made.metadata.creationTimestamp) ?? operation.since
  const started = timeOf(status?.startedAt) ?? created
  const where = status?.instanceID?.podName ? ` on ${status.instanceID.podName}` : ""
  const problem = status?.error ? `: ${sentence(status.error)}` : ""
  const answer = (text: string, rest: Partial<Progress> = {}, remove = false): Report => ({
    progress: { completed: false, description: `${name} ${text}`, started, updated: now, ...rest },
    remove
  })
  const failure = (text: string, error: string, remove: boolean) =>
    answer(text, { completed: true, error: `${name} ${error}. ${stays}` }, remove)

  if (isLate(operation, made, now)) {
    if (busyWith !== undefined) return answer(`is pending: CNPG Backup ${busyWith} of the same Cluster runs`)
    const waited = span(created, now)
    const phase = phaseOf(made)
    return failure(
      `was not begun within ${waited}`,
      `was not begun within ${waited} (${phase === "" ? "it has no phase: the operator has not looked at it" : `its phase is ${phase}${problem}`}; ${annotation.onDemandBackupStartTimeout}) and is removed`,
      true
    )
  }
  switch (phaseOf(made)) {
    case "completed": {
      const ended = timeOf(status?.stoppedAt) ?? now
      const wal = status?.beginWal && status.endWal ? `, WAL ${status.beginWal} to ${status.endWal}` : ""
      const lsn = status?.endLSN ? `, ends at ${status.endLSN}` : ""
      return status?.backupId
        ? answer(`is completed: id ${status.backupId}, took ${span(started, ended)}${wal}${lsn}`, { completed: true })
        : failure("is completed without an id", "is completed, but without an id to recover from", false)
    }
    case "failed":
      return failure("has failed", `has failed${problem}`, false)
    case "invalid backup definition":
      return failure("is invalid to the operator", `is invalid to the operator${problem}`, true)
    case "":
      return answer(`is created; the operator has not looked at it yet, for ${span(created, now)}`)
    case "pending":
      return answer(
        `is pending, for ${span(created, now)}: the operator waits for another Backup of the Cluster, or for an instance to be ready${problem}`
      )
    default:
      return answer(`is ${phaseOf(made)}${where}, for ${span(started, now)}${problem}`)
  }
}
