/**
 * What the tests of the pack share: a cluster in memory that notes and refuses calls, plugin processes that run whole actions
 * on it, Velero's part around an action, the example manifests, and the rules of CNPG's webhook.
 */
import * as Fs from "node:fs"
import { assert } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import * as Services from "../../src/cnpg/Services.ts"
import type { ApplyOptions, KubernetesError, KubernetesObject, Resource } from "../../src/kubernetes/Kubernetes.ts"
import {
  describe,
  Forbidden,
  groupResource,
  Kubernetes,
  NoCluster,
  NotFound,
  resources as coreResources,
  Unavailable
} from "../../src/kubernetes/Kubernetes.ts"
import * as Manifests from "../../src/kubernetes/Manifests.ts"
import * as Memory from "../../src/kubernetes/Memory.ts"
import type { Failure } from "../../src/velero/Action.ts"
import type { Backup } from "../../src/velero/Backup.ts"
import type { BackupItemAction } from "../../src/velero/BackupItemAction.ts"
import type { DeleteItemAction } from "../../src/velero/DeleteItemAction.ts"
import * as Json from "../../src/velero/Json.ts"
import type { Progress } from "../../src/velero/Operation.ts"
import * as PluginConfig from "../../src/velero/PluginConfig.ts"
import type { Restore } from "../../src/velero/Restore.ts"
import type { ResourceIdentifier } from "../../src/velero/Resources.ts"
import type { RestoreItemAction } from "../../src/velero/RestoreItemAction.ts"

// ---------------------------------------------------------------------------------------------------------------- objects

export type Tree = Readonly<Record<string, unknown>>

const example = (file: string): ReadonlyArray<KubernetesObject> =>
  Result.getOrThrow(Manifests.parse(file, Fs.readFileSync(new URL(`../../examples/${file}`, import.meta.url), "utf8")))

/** `examples/shop.yaml`: Cluster `orders` on the Barman Cloud plugin, and everything around it. */
export const shop = example("shop.yaml")

/** `examples/legacy.yaml`: Clusters `invoices` (in-tree store), `reports` (no archive), `ledger-eu` (replica cluster). */
export const legacy = example("legacy.yaml")

/** One object of an example. */
export const pick = (objects: ReadonlyArray<KubernetesObject>, kind: string, name: string): KubernetesObject => {
  const found = objects.find((object) => object.kind === kind && object.metadata?.name === name)
  assert.isDefined(found, `${kind} ${name}`)
  return found as KubernetesObject
}

export const namespace = (name: string): KubernetesObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name }
})

export const barman = "barman-cloud.cloudnative-pg.io"

/** A Cluster with this spec, `shop/orders` unless told otherwise. */
export const cluster = (spec: unknown, metadata: Tree = {}): KubernetesObject => ({
  apiVersion: "postgresql.cnpg.io/v1",
  kind: "Cluster",
  metadata: { name: "orders", namespace: "shop", uid: "uid-of-orders", ...metadata },
  spec
})

/** An entry of `spec.plugins` that archives with the Barman Cloud plugin. */
export const archiver = (parameters: Tree = { barmanObjectName: "orders-store", serverName: "orders-v1" }): Tree => ({
  name: barman,
  isWALArchiver: true,
  parameters
})

/** A Cluster as a Velero backup holds it, with the annotations that the backup plugin made. */
export const recorded = (spec: unknown, annotations: Tree = {}, metadata: Tree = {}): KubernetesObject =>
  cluster(spec, {
    annotations: {
      "velero-cnpg/serverName": "orders-v1",
      "velero-cnpg/current-backup-id": "20261119T020003",
      ...annotations
    },
    ...metadata
  })

/** A completed backup of `shop/orders` by the Barman Cloud plugin. */
export const completed = (name: string, stoppedAt: string | undefined, status: Tree = {}): KubernetesObject => ({
  apiVersion: "postgresql.cnpg.io/v1",
  kind: "Backup",
  metadata: { name, namespace: "shop", creationTimestamp: "2026-11-01T00:00:00Z" },
  spec: { cluster: { name: "orders" }, method: "plugin", pluginConfiguration: { name: barman } },
  status: {
    phase: "completed",
    backupId: `id-of-${name}`,
    ...(stoppedAt === undefined ? {} : { stoppedAt }),
    pluginMetadata: { clusterUID: "uid-of-orders" },
    ...status
  }
})

export const textOf = (object: unknown): string => JSON.stringify(object)

/** An object as parsed JSON is: without the keys that are `undefined`. */
export const json = <A>(object: A): A => JSON.parse(textOf(object)) as A

/** What Velero takes off an item before restore actions see it (`resetMetadataAndStatus`). */
export const stripped = (text: string): string =>
  Json.patch(text, [
    ...[
      "generateName",
      "selfLink",
      "uid",
      "resourceVersion",
      "generation",
      "creationTimestamp",
      "deletionTimestamp",
      "deletionGracePeriodSeconds",
      "ownerReferences"
    ].map((field) => Json.remove(["metadata", field])),
    Json.remove(["status"])
  ])

/** What is at a path of a parsed object. */
export const at = (tree: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>((value, key) => (value as Readonly<Record<string | number, unknown>> | undefined)?.[key], tree)

export { outside } from "../../src/testing/Items.ts"

// ------------------------------------------------------------------------------------------------------------ Kubernetes

/** A call of the Kubernetes service. */
export interface Call {
  readonly verb: "get" | "list" | "apply" | "delete"
  /** `clusters.postgresql.cnpg.io` */
  readonly resource: string
  readonly kind: Resource
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly options?: ApplyOptions
}

export type Refuse = (call: Call) => KubernetesError | undefined

export interface World {
  readonly layer: Layer.Layer<Kubernetes>
  /** Every call, in order, refused ones included. */
  readonly calls: Array<Call>
  /** What is refused from now on. */
  refuse: Refuse
  readonly put: (object: KubernetesObject) => Effect.Effect<void>
  readonly objects: () => ReadonlyArray<KubernetesObject>
  /** Those that tell of server names. */
  readonly configMaps: () => ReadonlyArray<KubernetesObject>
}

/** A cluster in memory that notes its calls, and refuses some. */
export const makeWorld = (objects: ReadonlyArray<KubernetesObject>, refuse: Refuse = () => undefined): World => {
  const memory = Memory.make(objects.map(json))
  const calls: Array<Call> = []
  const world: World = {
    layer: Layer.effect(
      Kubernetes,
      Effect.map(Kubernetes, (kubernetes) => {
        const guard = <A>(call: Call, effect: Effect.Effect<A, KubernetesError>): Effect.Effect<A, KubernetesError> =>
          Effect.suspend(() => {
            calls.push(call)
            const error = world.refuse(call)
            // A turn of the scheduler, as a network would take, so that concurrent calls really meet.
            return Effect.andThen(Effect.yieldNow, error === undefined ? effect : Effect.fail(error))
          })
        const call = (
          verb: Call["verb"],
          kind: Resource,
          inNamespace: string | undefined,
          name: string | undefined
        ) => ({
          verb,
          resource: groupResource(kind),
          kind,
          namespace: inNamespace,
          name
        })
        return Kubernetes.of({
          get: (kind, inNamespace, name) =>
            guard(call("get", kind, inNamespace, name), kubernetes.get(kind, inNamespace, name)),
          fold: (kind, selection, initial, step) =>
            guard(call("list", kind, selection.namespace, undefined), kubernetes.fold(kind, selection, initial, step)),
          apply: (kind, object, options) =>
            guard(
              { ...call("apply", kind, object.metadata?.namespace, object.metadata?.name), options },
              kubernetes.apply(kind, object, options)
            ),
          delete: (kind, inNamespace, name, uid) =>
            guard(call("delete", kind, inNamespace, name), kubernetes.delete(kind, inNamespace, name, uid))
        })
      })
    ).pipe(Layer.provide(memory.layer)),
    calls,
    refuse,
    put: (object) =>
      Effect.flatMap(Kubernetes, (kubernetes) =>
        kubernetes.apply(coreResources.configMaps, json(object), { fieldManager: "test", force: true })
      ).pipe(Effect.provide(memory.layer), Effect.orDie, Effect.asVoid),
    objects: memory.objects,
    configMaps: () =>
      memory.objects().filter(({ kind, metadata }) => kind === "ConfigMap" && metadata?.name === "cnpg-velero-override")
  }
  return world
}

/** Which calls, in few words: `list clusters.postgresql.cnpg.io`, with namespace and name where they matter. */
export const callsOf = (world: World): ReadonlyArray<string> =>
  world.calls.map(({ kind, name, namespace: inNamespace, verb }) => `${verb} ${describe(kind, inNamespace, name)}`)

const forbiddenBy = ({ kind, name, namespace: inNamespace, resource, verb }: Call): Forbidden =>
  new Forbidden({
    verb: verb === "apply" ? "patch" : verb,
    what: describe(kind, inNamespace, name),
    resource,
    detail: "RBAC says no"
  })

/** Refusals, by verb and resource; without either, of all calls. */
export const refusal = {
  forbidden:
    (verb?: Call["verb"], resource?: string): Refuse =>
    (call) =>
      (verb ?? call.verb) === call.verb && (resource ?? call.resource) === call.resource
        ? forbiddenBy(call)
        : undefined,
  unavailable:
    (verb?: Call["verb"], resource?: string): Refuse =>
    (call) =>
      (verb ?? call.verb) === call.verb && (resource ?? call.resource) === call.resource
        ? new Unavailable({ what: describe(call.kind, call.namespace, call.name), detail: "connection refused" })
        : undefined,
  /** The whole API group is unknown, as before its CRDs are installed. */
  unknownKind:
    (group: string): Refuse =>
    (call) =>
      call.kind.group === group
        ? new NotFound({ what: describe(call.kind, call.namespace, call.name), detail: "404 page not found" })
        : undefined,
  noCluster: (): KubernetesError => new NoCluster({ detail: "nothing names one" })
}

// ---------------------------------------------------------------------------------------------------------------- actions

export interface Line {
  readonly level: string
  readonly message: string
}

/** What came of an action. */
export interface Outcome {
  readonly text: string
  readonly tree: Tree
  /** The very bytes that came, as Velero gets them for an unchanged item. */
  readonly isUntouched: boolean
  readonly skip: boolean
  /** `secrets shop/orders-app`: what goes with it. */
  readonly additionalItems: ReadonlyArray<string>
  readonly operationId: string | undefined
  /** `clusters.postgresql.cnpg.io shop/orders`: what is stored once more after the operation. */
  readonly postOperationItems: ReadonlyArray<string>
  /** What it logged at info and above. */
  readonly lines: ReadonlyArray<Line>
}

type Needs = Kubernetes | Services.Services | PluginConfig.PluginConfig

/** A process of the plugin: it ends with the test's scope. */
export interface Process {
  readonly backUp: (
    action: BackupItemAction<Needs>,
    item: KubernetesObject | string,
    backup?: Backup
  ) => Effect.Effect<Outcome, Failure>
  /** Of an operation, as Velero asks for it. */
  readonly progress: (
    action: BackupItemAction<Needs>,
    operationId: string,
    backup?: Backup
  ) => Effect.Effect<Progress, Failure>
  readonly cancel: (action: BackupItemAction<Needs>, operationId: string) => Effect.Effect<void, Failure>
  /** The item's Velero backup is deleted. */
  readonly remove: (
    action: DeleteItemAction<Needs>,
    item: string,
    backup?: Backup
  ) => Effect.Effect<Pick<Outcome, "lines">, Failure>
  /** Of an item without `itemFromBackup` Velero's stripping is done here. */
  readonly restore: (
    action: RestoreItemAction<Needs>,
    item: KubernetesObject | string,
    restore?: Restore,
    itemFromBackup?: string
  ) => Effect.Effect<Outcome, Failure>
}

export const nightly: Backup = { metadata: { name: "nightly", namespace: "velero", uid: "uid-of-nightly" } }

export const restoreOf = (
  name: string,
  namespaceMapping: Readonly<Record<string, string>> = {},
  annotations: Readonly<Record<string, string>> = {}
): Restore => ({
  metadata: { name, namespace: "velero", uid: `uid-of-${name}`, annotations },
  spec: { namespaceMapping }
})

/** The name that the tested plugins are registered under does not matter to them, but for plugin configuration. */
export const pluginName = "example.com/tested-plugin"

/** Plugin configuration as Velero's convention labels it. */
export const pluginConfig = (
  data: Readonly<Record<string, string>>,
  plugin: string = pluginName
): PluginConfig.ConfigMap => ({
  metadata: { name: "tested", namespace: "velero", labels: { [plugin]: "RestoreItemActionV2" } },
  data
})

const identified = ({ group, name, namespace, resource }: ResourceIdentifier): string =>
  describe({ group, resource, version: "", kind: "", namespaced: true }, namespace, name)

const collect = (lines: Array<Line>) =>
  Logger.make<unknown, void>(({ logLevel, message }) => {
    const parts: ReadonlyArray<unknown> = Array.isArray(message) ? message : [message]
    lines.push({ level: logLevel, message: parts.map(String).join(" ") })
  })

/** Starts a process of the plugin: its caches are empty. */
export const startProcess = (world: Pick<World, "layer">, configMaps: ReadonlyArray<PluginConfig.ConfigMap> = []) =>
  Effect.map(
    Layer.build(
      Layer.fresh(Services.layer.pipe(Layer.provideMerge(Layer.merge(world.layer, PluginConfig.layerTest(configMaps)))))
    ),
    (services): Process => {
      const encode = (item: KubernetesObject | string): Uint8Array =>
        new TextEncoder().encode(typeof item === "string" ? item : textOf(item))
      const run = (
        bytes: Uint8Array,
        reply: Effect.Effect<
          {
            readonly item: { readonly bytes: Uint8Array; readonly text: string; readonly tree: Tree }
            readonly skip?: boolean
            readonly additionalItems?: ReadonlyArray<ResourceIdentifier>
            readonly operationId?: string
            readonly postOperationItems?: ReadonlyArray<ResourceIdentifier>
          },
          Failure,
          Needs
        >
      ): Effect.Effect<Outcome, Failure> =>
        Effect.suspend(() => {
          const lines: Array<Line> = []
          return reply.pipe(
            Effect.map(({ additionalItems = [], item, operationId, postOperationItems = [], skip }) => ({
              text: item.text,
              tree: item.tree,
              isUntouched: item.bytes === bytes,
              skip: skip === true,
              additionalItems: additionalItems.map(identified),
              operationId,
              postOperationItems: postOperationItems.map(identified),
              lines
            })),
            Effect.provide(Logger.layer([collect(lines)])),
            Effect.provide(services)
          )
        })
      return {
        backUp: (action, item, backup = nightly) => {
          const bytes = encode(item)
          return run(bytes, action.execute({ plugin: pluginName, kind: "BackupItemActionV2", item: bytes, backup }))
        },
        progress: (action, operationId, backup = nightly) =>
          (
            action.operations?.progress({ plugin: pluginName, operationId, backup }) ?? Effect.die("no operations")
          ).pipe(Effect.provide(services)),
        cancel: (action, operationId) =>
          (
            action.operations?.cancel({ plugin: pluginName, operationId, backup: nightly }) ??
            Effect.die("no operations")
          ).pipe(Effect.provide(services)),
        remove: (action, item, backup = nightly) =>
          Effect.suspend(() => {
            const lines: Array<Line> = []
            return action
              .execute({ plugin: pluginName, item: encode(item), backup })
              .pipe(Effect.as({ lines }), Effect.provide(Logger.layer([collect(lines)])), Effect.provide(services))
          }),
        restore: (action, item, restore = restoreOf("restore"), itemFromBackup) => {
          const original = typeof item === "string" ? item : textOf(item)
          const bytes = encode(itemFromBackup === undefined ? stripped(original) : original)
          return run(
            bytes,
            action.execute({
              plugin: pluginName,
              kind: "RestoreItemActionV2",
              item: bytes,
              itemFromBackup: encode(itemFromBackup ?? original),
              restore
            })
          )
        }
      }
    }
  )

/** A world with one process. */
export const start = (objects: ReadonlyArray<KubernetesObject>, refuse?: Refuse) =>
  Effect.gen(function* () {
    const world = makeWorld(objects, refuse)
    return { world, process: yield* startProcess(world) }
  })

/** Sets the time. */
export const itIs = (time: string): Effect.Effect<void> =>
  TestClock.setTime(DateTime.toEpochMillis(DateTime.makeUnsafe(time)))

/** One line of a level that matches all of these. */
export const assertLine = (
  lines: ReadonlyArray<Line>,
  level: "Info" | "Warn",
  ...patterns: ReadonlyArray<string | RegExp>
): void => {
  assert.strictEqual(lines.length, 1, `one line: ${JSON.stringify(lines)}`)
  assert.strictEqual(lines[0]?.level, level)
  for (const pattern of patterns) {
    if (typeof pattern === "string") assert.include(lines[0]?.message ?? "", pattern)
    else assert.match(lines[0]?.message ?? "", pattern)
  }
}

// ---------------------------------------------------------------------------------------------------------------- webhook

interface Target {
  readonly backupID?: string
  readonly targetTLI?: string
  readonly targetXID?: string
  readonly targetName?: string
  readonly targetLSN?: string
  readonly targetTime?: string
  readonly targetImmediate?: boolean | null
}

interface Application {
  readonly database?: string | null
  readonly owner?: string | null
}

interface ClusterSpec {
  readonly plugins?: ReadonlyArray<{
    readonly name: string
    readonly enabled?: boolean | null
    readonly isWALArchiver?: boolean | null
  }> | null
  readonly backup?: { readonly barmanObjectStore?: Tree | null } | null
  readonly externalClusters?: ReadonlyArray<{ readonly name: string } & Tree> | null
  readonly bootstrap?: {
    readonly initdb?: Application | null
    readonly recovery?:
      | (Application & {
          readonly source?: string
          readonly backup?: unknown
          readonly volumeSnapshots?: unknown
          readonly recoveryTarget?: Target | null
        })
      | null
    readonly pg_basebackup?: (Application & { readonly source?: string }) | null
  } | null
  readonly replica?: {
    readonly self?: string | null
    readonly primary?: string | null
    readonly source?: string | null
    readonly enabled?: boolean | null
  } | null
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null

/**
 * What CNPG's validating webhook says to the *creation* of a Cluster, as far as a recovery is concerned.
 *
 * Written from the operator's source, not from ours.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/internal/webhook/v1/cluster_webhook.go
 */
export const webhookProblems = (object: unknown): ReadonlyArray<string> => {
  const { metadata, spec = {} } = object as {
    readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> | null }
    readonly spec?: ClusterSpec
  }
  if (metadata.annotations?.["cnpg.io/validation"] === "disabled") return []
  const problems: Array<string> = []
  const refuseIf = (isWrong: boolean, problem: string) => {
    if (isWrong) problems.push(problem)
  }

  // validateName
  refuseIf(!/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(metadata.name) || metadata.name.length > 63, "name is no DNS label")
  refuseIf(metadata.name.length > 50, "name has more than 50 characters")

  // validateBootstrapMethod, validateApplicationDatabase
  const { initdb, pg_basebackup: baseBackup, recovery } = spec.bootstrap ?? {}
  refuseIf([initdb, recovery, baseBackup].filter(isGiven).length > 1, "several bootstrap methods")
  for (const application of [recovery, baseBackup]) {
    refuseIf(!!application?.database !== !!application?.owner, "database without owner, or owner without database")
  }

  // validateExternalClusters
  const externals = spec.externalClusters ?? []
  const external = (name: string | null | undefined) => externals.find((each) => each.name === (name ?? ""))
  const methods = ["connectionParameters", "barmanObjectStore", "plugin"]
  refuseIf(new Set(externals.map(({ name }) => name)).size !== externals.length, "external clusters: duplicates")
  for (const each of externals) {
    refuseIf(!methods.some((method) => isGiven(each[method])), `external cluster ${each.name}: no method`)
    refuseIf(
      each.name === "." || each.name === ".." || /[/\\]/.test(each.name),
      `external cluster ${each.name}: unsafe name`
    )
  }

  // validateBootstrapRecoverySource, validateBootstrapPgBaseBackupSource, validateBootstrapRecoveryDataSource
  if (recovery?.source) {
    const source = external(recovery.source)
    refuseIf(source === undefined, "recovery.source: no such external cluster")
    refuseIf(!methods.some((method) => isGiven(source?.[method])), "recovery.source: no method")
  }
  if (isGiven(baseBackup)) refuseIf(external(baseBackup?.source) === undefined, "pg_basebackup.source: unknown")
  if (isGiven(recovery?.volumeSnapshots)) {
    refuseIf(isGiven(recovery?.backup), "volumeSnapshots and backup")
    refuseIf(!!recovery?.recoveryTarget?.backupID, "volumeSnapshots and backupID")
  }

  // validateRecoveryTarget
  const target = recovery?.recoveryTarget
  if (target) {
    const { backupID, targetImmediate, targetLSN, targetName, targetTLI, targetTime, targetXID } = target
    refuseIf(
      [targetLSN, targetName, targetTime, targetXID].filter((each) => !!each).length +
        (isGiven(targetImmediate) ? 1 : 0) >
        1,
      "several recovery targets"
    )
    refuseIf(
      (!!targetName || !!targetXID || isGiven(targetImmediate)) && !isGiven(recovery?.volumeSnapshots) && !backupID,
      "this recovery target needs a backupID"
    )
    refuseIf(!["", "latest"].includes(targetTLI ?? "") && !/^[1-9]\d*$/.test(targetTLI ?? ""), "targetTLI")
    // eslint-disable-next-line no-control-regex
    refuseIf(Buffer.byteLength(targetName ?? "") >= 64 || /[\u0000-\u001f\u007f]/.test(targetName ?? ""), "targetName")
    refuseIf(!!targetXID && !(/^\d+$/.test(targetXID) && Number(targetXID) < 2 ** 32), "targetXID")
    refuseIf(!!targetLSN && !/^[0-9A-Fa-f]+\/[0-9A-Fa-f]+$/.test(targetLSN), "targetLSN")
  }

  // validateReplicaMode, with Cluster.IsReplica
  const { replica } = spec
  if (replica) {
    const isReplica = replica.enabled ?? (replica.self || metadata.name) !== (replica.primary ?? "")
    refuseIf(isGiven(replica.enabled) && !!replica.primary, "replica: enabled and primary")
    refuseIf(isReplica && !isGiven(recovery) && !isGiven(baseBackup), "replica: only pg_basebackup or recovery")
    refuseIf(external(replica.source) === undefined, "replica.source: no such external cluster")
    refuseIf(!!replica.self && external(replica.self) === undefined, "replica.self: no such external cluster")
    refuseIf(!!replica.primary && external(replica.primary) === undefined, "replica.primary: no such external cluster")
  }

  // validatePluginConfiguration, validateBackupConfiguration
  const archivers = (spec.plugins ?? []).filter(
    ({ enabled, isWALArchiver }) => (enabled ?? true) && (isWALArchiver ?? false)
  )
  const store = spec.backup?.barmanObjectStore
  refuseIf(archivers.length > 1, "several WAL archivers")
  refuseIf(isGiven(store) && archivers.length > 0, "a WAL archiver plugin and barmanObjectStore")
  if (store) {
    const credentials = ["azureCredentials", "s3Credentials", "googleCredentials"].filter((key) => isGiven(store[key]))
    refuseIf(credentials.length !== 1, "barmanObjectStore: one kind of credentials")
  }
  return problems
}
