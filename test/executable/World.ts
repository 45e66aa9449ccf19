/**
 * A world for the compiled file: a cluster with objects, and Velero, which starts the file for each backup and each restore.
 *
 * Every process has to end with 0 by itself. Every log line is checked when the world ends: one JSON object with string
 * fields, and none at level error, which would fail a backup.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { BackupItemActionExecuteResponse as BackupReply } from "../../src/generated/velero/backup_item_action_v2.ts"
import type { PluginIdentifier } from "../../src/generated/velero/plugin_lister.ts"
import type { RestoreItemActionExecuteResponse as RestoreReply } from "../../src/generated/velero/restore_item_action_v2.ts"
import type { CallFailed, Client, LogLine, PluginNotStarted } from "../../src/go-plugin/Client.ts"
import * as Manifests from "../../src/kubernetes/Manifests.ts"
import type { ApiServer, ApiServerError, KubernetesObject } from "../../src/testing/ApiServer.ts"
import * as ApiServers from "../../src/testing/ApiServer.ts"
import type { BackedUp, BackupSpec, Entry, Restored, RestoreSpec } from "../../src/testing/VeleroHost.ts"
import * as VeleroHost from "../../src/testing/VeleroHost.ts"
import { at, executable, repository, temporaryDirectory } from "./Executable.ts"

/** Names of the plugins. */
export const plugin = {
  clusterBackup: "replicated.com/cnpg-backup-plugin",
  ownedBackup: "velero-cnpg/owned-resource-backup-plugin",
  contentsBackup: "velero-cnpg/contents-backup-plugin",
  itemBlock: "velero-cnpg/item-block-plugin",
  backupDelete: "velero-cnpg/backup-delete-plugin",
  contentsRestore: "velero-cnpg/contents-restore-plugin",
  clusterRestore: "replicated.com/cnpg-restore-plugin",
  deploymentRestore: "replicated.com/deployment-restore-plugin",
  ownedRestore: "velero-cnpg/owned-resource-restore-plugin",
  secretRestore: "velero-cnpg/secret-restore-plugin",
  poolerRestore: "velero-cnpg/pooler-resource-restore-plugin",
  poolerPodRestore: "velero-cnpg/pooler-pod-restore-plugin",
  backupRestore: "velero-cnpg/backup-restore-plugin",
  declarativeRestore: "velero-cnpg/declarative-object-restore-plugin"
} as const

export const backupPlugins = [plugin.clusterBackup, plugin.ownedBackup, plugin.contentsBackup]
export const restorePlugins = [
  plugin.contentsRestore,
  plugin.clusterRestore,
  plugin.deploymentRestore,
  plugin.ownedRestore,
  plugin.secretRestore,
  plugin.poolerRestore,
  plugin.poolerPodRestore,
  plugin.backupRestore,
  plugin.declarativeRestore
]

/** All of them, by name. */
export const pluginNames = [...backupPlugins, plugin.backupDelete, plugin.itemBlock, ...restorePlugins].toSorted()

export const kind = {
  cluster: ApiServers.resourceOfKind("postgresql.cnpg.io/v1", "Cluster"),
  configMap: ApiServers.resourceOfKind("v1", "ConfigMap"),
  deployment: ApiServers.resourceOfKind("apps/v1", "Deployment"),
  pvc: ApiServers.resourceOfKind("v1", "PersistentVolumeClaim"),
  secret: ApiServers.resourceOfKind("v1", "Secret")
} as const

export const annotation = {
  serverName: "velero-cnpg/serverName",
  backupId: "velero-cnpg/current-backup-id",
  ownedBy: "velero-cnpg/owned-by-cluster",
  recoverFrom: "velero-cnpg/recover-from"
} as const

/** Of what a backup records, all but its times; that of the storing is checked here, by the clock of this machine. */
export const sourceIn = (object: unknown): unknown => {
  const all = at(object, "metadata", "annotations") as Readonly<Record<string, string>> | undefined
  const storedAt = all?.["velero-cnpg/stored-at"]
  if (storedAt !== undefined) {
    assert.match(storedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.isBelow(Math.abs(Date.now() - Date.parse(storedAt)), 600_000)
  }
  const times = ["stored-at", "current-backup-ended-at", "first-recoverability-point"]
  return (
    all && Object.fromEntries(Object.entries(all).filter(([key]) => !times.includes(key.replace("velero-cnpg/", ""))))
  )
}

export const overrideName = "cnpg-velero-override"

/** `examples/<name>.yaml`. */
export const example = (name: string): Effect.Effect<ReadonlyArray<KubernetesObject>> =>
  Effect.map(
    Effect.orDie(Manifests.load([Path.join(repository, "examples", `${name}.yaml`)])),
    (objects) => objects as ReadonlyArray<KubernetesObject>
  )

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export type ItemLike = string | Uint8Array | KubernetesObject

export const bytesOf = (item: ItemLike): Uint8Array => {
  if (item instanceof Uint8Array) return item
  return encoder.encode(typeof item === "string" ? item : JSON.stringify(item))
}

/** A Velero Backup or Restore as a call carries it. */
export const ownerOf = (
  ownerKind: "Backup" | "Restore",
  { annotations, name, uid }: BackupSpec,
  spec: object = {}
) => ({
  apiVersion: "velero.io/v1",
  kind: ownerKind,
  metadata: { name, namespace: "velero", uid: uid ?? `uid-of-${name}`, annotations: annotations ?? {} },
  spec,
  status: { phase: "InProgress" }
})

export interface BackupCall {
  readonly name?: string
  /** In place of the Backup. */
  readonly backup?: ItemLike
}

export interface RestoreCall extends Partial<RestoreSpec> {
  readonly itemFromBackup?: ItemLike
  /** In place of the Restore. */
  readonly restore?: ItemLike
}

/** One process at a time, which is started again where it died. */
export interface Session {
  readonly client: VeleroHost.Manager["client"]
  /** `Execute` of a backup item action; `text` is the item that came back. */
  readonly backup: (
    plugin: string,
    item: ItemLike,
    call?: BackupCall
  ) => Effect.Effect<BackupReply & { readonly text: string }, CallFailed | PluginNotStarted>
  readonly restore: (
    plugin: string,
    item: ItemLike,
    call?: RestoreCall
  ) => Effect.Effect<RestoreReply & { readonly text: string }, CallFailed | PluginNotStarted>
}

export interface World {
  readonly cluster: ApiServer
  /** Holds the kubeconfig; sockets lie in it, too. */
  readonly directory: string
  /** What was logged so far; of ended processes, everything. */
  readonly logs: () => ReadonlyArray<LogLine>
  readonly options: VeleroHost.Options
  /** Uses one process, as one backup or one restore does. */
  readonly session: <A, E>(use: (session: Session) => Effect.Effect<A, E>) => Effect.Effect<A, E>
  /** Backs up all objects but those of Velero's namespace, or `entries`. */
  readonly backup: (
    spec?: Partial<BackupSpec>,
    entries?: ReadonlyArray<Entry>
  ) => Effect.Effect<ReadonlyArray<BackedUp>, CallFailed | PluginNotStarted>
  readonly restore: (
    backedUp: ReadonlyArray<BackedUp>,
    spec?: Partial<RestoreSpec>
  ) => Effect.Effect<ReadonlyArray<Restored>, CallFailed | PluginNotStarted>
  /** Removes every object but those of Velero's namespace. */
  readonly disaster: () => void
}

export interface Options {
  readonly objects?: ReadonlyArray<KubernetesObject>
  readonly server?: Omit<ApiServers.Options, "objects">
  /** In addition; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly args?: ReadonlyArray<string>
  /** A command that becomes the executable, which is added to its arguments. */
  readonly wrapper?: ReadonlyArray<string>
  /** Runs before the first process starts. */
  readonly prepare?: (cluster: ApiServer) => void
  /** Lines at level error are part of the test. */
  readonly allowsErrors?: boolean
}

export const isBackedUp = ({ kind: itemKind, name, namespace }: Entry): boolean =>
  namespace !== VeleroHost.veleroNamespace && !(itemKind === "Namespace" && name === VeleroHost.veleroNamespace)

/** One JSON object with string fields, as go-plugin's host and Velero's log hook demand. */
export const assertWellFormed = (lines: ReadonlyArray<LogLine>): void => {
  for (const line of lines) {
    assert.strictEqual(line.fields["@logSourceSetBy"], "plugin", `not a log line: ${line.message}`)
    for (const [key, value] of Object.entries(line.fields)) assert.isString(value, `${key} of: ${line.message}`)
  }
}

const levelsOf = (lines: ReadonlyArray<LogLine>, level: LogLine["level"]): ReadonlyArray<string> =>
  lines.filter((line) => line.level === level).map(({ message }) => message)

export const warnings = (world: World): ReadonlyArray<string> => levelsOf(world.logs(), "warn")

const sessionOf = (manager: VeleroHost.Manager): Session => ({
  client: manager.client,
  backup: (name, item, { backup, name: owner = "backup" } = {}) =>
    Effect.flatMap(manager.client, ({ backupItemActionV2 }) =>
      Effect.map(
        backupItemActionV2.execute({
          plugin: name,
          item: bytesOf(item),
          backup: bytesOf(backup ?? ownerOf("Backup", { name: owner }))
        }),
        (reply) => ({ ...reply, text: decoder.decode(reply.item) })
      )
    ),
  restore: (name, item, { existingResourcePolicy, itemFromBackup, namespaceMapping, restore, ...spec } = {}) =>
    Effect.flatMap(manager.client, ({ restoreItemActionV2 }) =>
      Effect.map(
        restoreItemActionV2.execute({
          plugin: name,
          item: bytesOf(item),
          itemFromBackup: bytesOf(itemFromBackup ?? item),
          restore: bytesOf(
            restore ?? ownerOf("Restore", { name: "restore", ...spec }, { namespaceMapping, existingResourcePolicy })
          )
        }),
        (reply) => ({ ...reply, text: decoder.decode(reply.item) })
      )
    )
})

/** A world, until the end of its scope. */
export const make = ({
  allowsErrors = false,
  args,
  env = {},
  objects = [],
  prepare,
  server = {},
  wrapper = []
}: Options = {}): Effect.Effect<World, ApiServerError | CallFailed | PluginNotStarted, Scope.Scope> =>
  Effect.gen(function* () {
    const lines: Array<LogLine> = []
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        assertWellFormed(lines)
        if (!allowsErrors) assert.deepStrictEqual(levelsOf(lines, "error"), [])
      })
    )
    const cluster = yield* ApiServers.make({ objects, ...server })
    prepare?.(cluster)
    const directory = yield* temporaryDirectory()
    const kubeconfig = Path.join(directory, "kubeconfig")
    Fs.writeFileSync(kubeconfig, cluster.kubeconfig)
    const given = { KUBECONFIG: kubeconfig, VELERO_NAMESPACE: "velero", TMPDIR: directory, ...env }
    const [command = executable, ...before] = [...wrapper, executable]
    const options: VeleroHost.Options = {
      executable: command,
      env: Object.fromEntries(
        Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined)
      ),
      args: [...before, ...(args ?? [])],
      onLog: (line) => lines.push(line)
    }
    const plugins: ReadonlyArray<PluginIdentifier> = yield* VeleroHost.discover(options)
    /** A process, which must end as a good plugin does: with 0, by itself. */
    const managed = <A, E>(use: (manager: VeleroHost.Manager) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.gen(function* () {
        let last: Client | undefined
        const used = yield* Effect.scoped(
          Effect.flatMap(VeleroHost.manager(options), ({ client }) =>
            use({ client: Effect.tap(client, ({ process }) => Effect.sync(() => (last = process))) })
          )
        )
        if (last !== undefined) assert.deepStrictEqual(yield* last.exited, { code: 0, signal: null })
        return used
      })
    const entries = () =>
      cluster
        .all()
        .map((object) => VeleroHost.entryOf(JSON.stringify(object)))
        .filter(isBackedUp)
    return {
      cluster,
      directory,
      logs: () => [...lines],
      options,
      session: (use) => managed((manager) => use(sessionOf(manager))),
      backup: (spec, given) =>
        managed((manager) => VeleroHost.backup(manager, plugins, given ?? entries(), { name: "backup", ...spec })),
      restore: (backedUp, spec) =>
        managed((manager) =>
          VeleroHost.restore(
            manager,
            plugins,
            backedUp.flatMap(({ after }) => (after === undefined ? [] : [after])),
            cluster,
            { name: "restore", ...spec }
          )
        ),
      disaster: () => {
        for (const object of cluster.all().filter(({ metadata }) => metadata.namespace !== "velero")) {
          const { apiVersion, kind: objectKind, metadata } = object
          if (objectKind === "Namespace" && metadata.name === "velero") continue
          cluster.remove(ApiServers.resourceOfKind(apiVersion, objectKind), metadata.namespace, metadata.name ?? "")
        }
      }
    }
  })
