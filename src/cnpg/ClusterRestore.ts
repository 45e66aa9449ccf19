/**
 * `replicated.com/cnpg-restore-plugin`: makes a restored Cluster recover from the archive that its backup recorded, and archive
 * under a new server name.
 *
 * What it does to the cluster: one server-side apply of the ConfigMap `cnpg-velero-override` in the namespace that the Cluster
 * lands in, after everything that can fail was checked. What it reads there: the namespace, a live Cluster of that name, the
 * ConfigMap, and the server names of all live Clusters. Velero then waits until the Cluster is up (`RecoveryProgress.ts`).
 */
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { KubernetesError, KubernetesObject, Resource } from "../kubernetes/Kubernetes.ts"
import { Kubernetes, resources as coreResources } from "../kubernetes/Kubernetes.ts"
import { type Failure, info, type Note, warn } from "../velero/Action.ts"
import * as Item from "../velero/Item.ts"
import type { Patch } from "../velero/Json.ts"
import * as Json from "../velero/Json.ts"
import type { Restore } from "../velero/Restore.ts"
import * as RestoreView from "../velero/Restore.ts"
import * as RestoreItemAction from "../velero/RestoreItemAction.ts"
import * as Archive from "./Archive.ts"
import { Cluster, decodeCluster, describe } from "./Cluster.ts"
import { configuration } from "./ClusterRestoreConfig.ts"
import { annotation, configMapName, operatorAnnotation, resources, restoreStatus } from "./Names.ts"
import type { Override } from "./OverrideConfigMap.ts"
import * as OverrideConfigMap from "./OverrideConfigMap.ts"
import * as RecoverFrom from "./RecoverFrom.ts"
import * as RecoveryEnd from "./RecoveryEnd.ts"
import type { RecoveryOperation } from "./RecoveryOperation.ts"
import * as Operation from "./RecoveryOperation.ts"
import * as RecoveryPlan from "./RecoveryPlan.ts"
import * as RecoveryProgress from "./RecoveryProgress.ts"
import * as RecoveryTarget from "./RecoveryTarget.ts"
import * as RecoveryWindow from "./RecoveryWindow.ts"
import { ServerNames } from "./ServerNames.ts"
import * as Setting from "./Setting.ts"
import * as WaitForRecovery from "./WaitForRecovery.ts"

/** The namespace that a Cluster is restored into does not exist. Velero makes it before it calls; something removed it. */
export class MissingNamespace extends Data.TaggedError("MissingNamespace")<{
  readonly cluster: string
  readonly namespace: string
}> {
  override get message() {
    return `${this.cluster} cannot be restored into namespace ${this.namespace}: there is no such namespace. Create it and restore again`
  }
}

/** The place that the Cluster lands in. */
export interface Facts {
  readonly restore: Restore
  /** The plugin's ConfigMap. */
  readonly config?: Setting.Config
  /** `undefined` where nothing was recorded, and so nothing was looked up. */
  readonly target: Target | undefined
}

export interface Target {
  readonly namespace: string
  /** The Cluster of that name that lives there. */
  readonly live: Option.Option<KubernetesObject>
  /** The server name to archive under. */
  readonly destination: string
  /** How far back the archive reaches by the newest word on it; `undefined` where nothing tells, or nobody asks. */
  readonly firstRecoverabilityPoint?: string | undefined
  /** Epoch milliseconds. */
  readonly now: number
  readonly warnings: ReadonlyArray<Note>
}

export interface Decision {
  readonly patches: ReadonlyArray<Patch>
  /** What the ConfigMap will say; `undefined`: it is not touched. */
  readonly override: Override | undefined
  /** What Velero follows; absent: nothing. */
  readonly operation?: RecoveryOperation | undefined
  readonly notes: ReadonlyArray<Note>
}

const recordedServerName = ({ metadata }: Cluster): string | undefined =>
  metadata.annotations?.[annotation.serverName] || undefined

/** Absence as a value; any other error stays one. */
const find = (resource: Resource, namespace: string | undefined, name: string) =>
  Effect.flatMap(Kubernetes, (kubernetes) => kubernetes.get(resource, namespace, name)).pipe(
    Effect.asSome,
    Effect.catchTag("NotFound", () => Effect.succeed(Option.none<KubernetesObject>()))
  )

/** A missing right to look must not stop a restore that may be allowed to write. */
const findUnlessForbidden = (resource: Resource, namespace: string | undefined, name: string) =>
  find(resource, namespace, name).pipe(
    Effect.map((object) => ({ object, forbidden: undefined as KubernetesError | undefined })),
    Effect.catchTag("Forbidden", (forbidden) => Effect.succeed({ object: Option.none<KubernetesObject>(), forbidden }))
  )

const placesOf = (cluster: Cluster, restore: Restore, config: Setting.Config): Setting.Places => ({
  velero: restore,
  cluster: { name: describe(cluster), annotations: cluster.metadata.annotations },
  config
})

/** Whether a recovery ends before the end of the archive: then it matters how far back that reaches. */
const endsEarlier = (places: Setting.Places): boolean =>
  Result.match(Setting.choose(RecoveryTarget.setting, places), {
    onSuccess: ({ point }) => point._tag !== "Latest",
    onFailure: () => false
  })

/** The newest word on how far back the archive reaches: of the backup, or of the living store in the namespace that was backed up. */
const fetchWindow = Effect.fnUntraced(function* (cluster: Cluster, original: Item.Item, readFrom: string) {
  const whole = Option.getOrElse(decodeCluster(original.tree), () => cluster)
  const window = yield* RecoveryWindow.of(whole, Archive.find(whole), readFrom)
  const recorded = cluster.metadata.annotations?.[annotation.firstRecoverabilityPoint] || undefined
  return { ...window, first: RecoveryWindow.later(recorded, window.first) }
})

const fetchTarget = Effect.fnUntraced(function* (
  cluster: Cluster,
  readFrom: string,
  { config, itemFromBackup, restore }: RestoreItemAction.RestoreRequest<Setting.Config>
) {
  const name = cluster.metadata.name
  const from = cluster.metadata.namespace ?? ""
  const namespace = RestoreView.targetNamespace(restore, from)
  const home = yield* findUnlessForbidden(coreResources.namespaces, undefined, namespace)
  if (Option.isNone(home.object) && home.forbidden === undefined) {
    return yield* new MissingNamespace({ cluster: describe(cluster), namespace })
  }
  const live = yield* find(resources.clusters, namespace, name)
  const configMap = yield* findUnlessForbidden(coreResources.configMaps, namespace, configMapName)
  const known = Option.getOrUndefined(configMap.object)
  const serverNames = yield* ServerNames
  const restoreKey = RestoreView.key(restore)
  const { name: destination, unchecked } = yield* serverNames.issue({
    restore: restoreKey,
    namespace: from,
    cluster: name,
    taken: new Set([readFrom, ...OverrideConfigMap.serverNames(known)]),
    earlier: OverrideConfigMap.nameGivenBy(known, name, restoreKey)
  })
  const window = endsEarlier(placesOf(cluster, restore, config))
    ? yield* fetchWindow(cluster, itemFromBackup, readFrom)
    : RecoveryWindow.unknown
  return {
    namespace,
    live,
    destination,
    firstRecoverabilityPoint: window.first,
    now: DateTime.toEpochMillis(yield* DateTime.now),
    warnings: [
      ...(configMap.forbidden === undefined ? [] : [configMap.forbidden]),
      ...(unchecked === undefined ? [] : [unchecked])
    ]
      .map((error) =>
        warn(`${describe(cluster)}: server names that are in use could not all be checked: ${error.message}`)
      )
      .concat(
        window.problem === undefined
          ? []
          : [warn(`${describe(cluster)}: how far back its archive reaches was not checked: ${window.problem.message}`)]
      )
  } satisfies Target
})

/** What is corrected of the old life, and why. */
type Correction = Pick<Decision, "patches" | "notes">

const nothing: Correction = { patches: [], notes: [] }

const together = (...corrections: ReadonlyArray<Correction>): Correction => ({
  patches: corrections.flatMap(({ patches }) => patches),
  notes: corrections.flatMap(({ notes }) => notes)
})

/**
 * A status tells of instances that are no more: the operator would wait for them and never recover. Velero keeps it aside before it
 * calls actions, so that removing it does not help; its annotation does.
 */
const withoutStatus = (cluster: Cluster, restore: Restore): Correction => {
  const isAsked = Boolean(restore.spec?.restoreStatus) || cluster.metadata.annotations?.[restoreStatus] !== undefined
  return isAsked
    ? {
        patches: [Json.set(["metadata", "annotations", restoreStatus], "false")],
        notes: [
          warn(
            `${describe(cluster)}: its status is not restored, or the operator would wait for instances that are no more. Velero before 1.16 restores it all the same: restore without --status-include-resources there`
          )
        ]
      }
    : nothing
}

/**
 * A status of before said that the promotion token had been used. Without it the operator takes the promotion for one that is under
 * way, leaves it to an instance, and makes none.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/internal/controller/cluster_controller.go (ShouldPromoteFromReplicaCluster)
 */
const withoutPromotion = (cluster: Cluster): Correction =>
  cluster.spec?.replica?.promotionToken
    ? {
        patches: [Json.remove(["spec", "replica", "promotionToken"])],
        notes: [
          info(
            `${describe(cluster)}: spec.replica.promotionToken is removed, or the operator would wait for a promotion that no instance is there for`
          )
        ]
      }
    : nothing

/** What its users did to the instances of the old life. */
const stopped = [
  {
    key: operatorAnnotation.hibernation,
    isSet: (value: string) => value === "on",
    why: "or the operator would stop the new instances as soon as they are healthy"
  },
  {
    key: operatorAnnotation.fencedInstances,
    isSet: (value: string) => value !== "",
    why: "or PostgreSQL would not be started in the new instances"
  }
]

/** A recovered Cluster is meant to run. On volumes it goes on as it was; the operator itself unfences it. */
const withoutStops = (cluster: Cluster): Correction => {
  const found = stopped.filter(({ isSet, key }) => isSet(cluster.metadata.annotations?.[key] ?? ""))
  return {
    patches: found.map(({ key }) => Json.remove(["metadata", "annotations", key])),
    notes: found.map(({ key, why }) =>
      info(
        `${describe(cluster)}: its annotation ${key} ${JSON.stringify(cluster.metadata.annotations?.[key])} is removed, ${why}`
      )
    )
  }
}

/** What is to be followed, for as long as the user wants; `undefined`: nothing. */
const operationOf = (
  cluster: Cluster,
  places: Setting.Places,
  { destination, namespace, now }: Target,
  from: RecoveryOperation["from"]
): Result.Result<RecoveryOperation | undefined, Setting.InvalidSetting> =>
  Result.map(Setting.choose(WaitForRecovery.setting, places), (limit) =>
    Duration.isZero(limit)
      ? undefined
      : { from, namespace, cluster: cluster.metadata.name, destination, started: DateTime.makeUnsafe(now), limit }
  )

/** A target that somebody set for this Cluster or Restore, and that has no meaning here, is not passed over in silence. */
const notApplied = (cluster: Cluster, restore: Restore): ReadonlyArray<Note> => {
  const given = Setting.given(RecoveryTarget.setting, placesOf(cluster, restore, {}))
  return given === undefined || given.text === RecoveryTarget.setting.default
    ? []
    : [
        warn(
          `${describe(cluster)}: ${RecoveryTarget.setting.annotation} ${JSON.stringify(given.text)} of ${given.where} is not applied, as nothing is recovered from an archive`
        )
      ]
}

/** Its volumes were left out for a first backup that then was not completed. */
const withoutFirstBackup = (cluster: Cluster, { backupId }: RecoveryEnd.Recorded): ReadonlyArray<Note> => {
  const awaited = cluster.metadata.annotations?.[annotation.freshBackupName]
  return backupId !== undefined || !awaited
    ? []
    : [
        warn(
          `${describe(cluster)}: CNPG Backup ${awaited}, which was to be its first, was not completed when Velero stored the Cluster. It recovers from what its archive has now; if that is nothing, delete it and restore with ${annotation.recoverFrom}: volumes`
        )
      ]
}

/** What becomes of a Cluster. */
export const transform = (
  cluster: Cluster,
  { config = {}, restore, target }: Facts
): Result.Result<Decision, Failure> => {
  const name = describe(cluster)
  const readFrom = recordedServerName(cluster)
  const places = placesOf(cluster, restore, config)
  if (readFrom === undefined || target === undefined) {
    // Policy `update` would take the token from a Cluster that lives.
    const isUpdate = restore.spec?.existingResourcePolicy === "update"
    const { notes, patches } = together(withoutStatus(cluster, restore), isUpdate ? nothing : withoutPromotion(cluster))
    return Result.succeed({
      patches,
      override: undefined,
      notes: [
        info(`${name} has no annotation ${annotation.serverName}: it is restored as it is`),
        ...notes,
        ...notApplied(cluster, restore)
      ]
    })
  }
  return Result.gen(function* () {
    const choice = yield* Setting.choose(RecoverFrom.setting, places)
    const recoveryTarget = yield* Setting.choose(RecoveryTarget.setting, places)
    const { destination, live, namespace, warnings } = target
    if (Option.isSome(live)) {
      return {
        patches: RecoveryPlan.keepLive(live.value as Json.Json),
        override: undefined,
        notes: [
          warn(
            `Cluster ${namespace}/${cluster.metadata.name} exists: it keeps its bootstrap, external clusters, plugins and server name, and no ConfigMap is written. To recover it from the backup, delete it first or restore into another namespace`
          ),
          ...notApplied(cluster, restore)
        ]
      }
    }
    const archive = yield* RecoveryPlan.archiveOf(cluster)
    const override: Override = {
      namespace,
      cluster: cluster.metadata.name,
      writeTo: destination,
      readFrom,
      restore: RestoreView.key(restore)
    }
    const corrected = together(
      withoutStatus(cluster, restore),
      withoutPromotion(cluster),
      choice === "volumes" ? nothing : withoutStops(cluster)
    )
    const operation = yield* operationOf(cluster, places, target, choice)
    const ending = [
      `ConfigMap ${namespace}/${configMapName} says so too`,
      ...(operation === undefined ? [] : [RecoveryProgress.announcement(operation)])
    ].join("; ")
    if (choice === "volumes") {
      return {
        patches: [...(yield* RecoveryPlan.startOnVolumes(cluster, archive, destination)), ...corrected.patches],
        override,
        operation,
        notes: [
          ...warnings,
          ...corrected.notes,
          ...notApplied(cluster, restore),
          info(
            `${name} starts in namespace ${namespace} on its restored volumes and archives under ${destination}; ${ending}`
          )
        ]
      }
    }
    const recorded = RecoveryEnd.recordedOf(cluster.metadata.annotations, readFrom)
    const { firstRecoverabilityPoint, now } = target
    const end = yield* RecoveryEnd.resolve(name, recoveryTarget, { ...recorded, firstRecoverabilityPoint }, now)
    const source = { serverName: readFrom, recoveryTarget: end.fields }
    return {
      patches: [...(yield* RecoveryPlan.recover(cluster, archive, source, destination)), ...corrected.patches],
      override,
      operation,
      notes: [
        ...warnings,
        ...corrected.notes,
        ...end.warnings.map(warn),
        ...withoutFirstBackup(cluster, recorded),
        info(
          `${name} recovers in namespace ${namespace} from server name ${readFrom}, ${end.source}, and archives under ${destination}; ${ending}`
        )
      ]
    }
  })
}

export const action = RestoreItemAction.make({
  selector: { includedResources: ["clusters.postgresql.cnpg.io"] },
  ...configuration,
  decode: Cluster,
  fetch: Effect.fnUntraced(function* (cluster, request) {
    const { config, restore } = request
    const readFrom = recordedServerName(cluster)
    const target = readFrom === undefined ? undefined : yield* fetchTarget(cluster, readFrom, request)
    return { restore, config, target } satisfies Facts
  }),
  transform: (cluster, facts: Facts) => transform(cluster, facts),
  encode: (item, { notes, operation, patches }) => ({
    item: Item.patch(item, patches),
    notes,
    ...(operation === undefined ? {} : { operationId: Operation.id(operation) })
  }),
  operations: RecoveryProgress.operations,
  commit: ({ override }) =>
    override === undefined
      ? Effect.void
      : Effect.flatMap(Kubernetes, (kubernetes) =>
          kubernetes.apply(coreResources.configMaps, OverrideConfigMap.toObject(override), {
            fieldManager: OverrideConfigMap.fieldManager(override.cluster),
            force: true
          })
        ).pipe(Effect.asVoid)
})
