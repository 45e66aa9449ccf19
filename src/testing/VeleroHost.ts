/**
 * Velero, as far as a plugin sees it: discovery, one process a manager, backups and restores item by item.
 *
 * **When to use**: to drive a compiled executable in tests, and to show what plugins do (`preview`). The objects are those of
 * the in-process API server; the plugin talks to that server, this host talks to the plugin over its socket.
 *
 * **Limits.** Against a real Velero this one has no filters by resource, namespace or label, no hooks, no volumes, no built-in
 * actions, no resource modifiers and no status restore; it does not wait for additional items or operations, and a restored
 * object that exists is compared with nothing. What it does do it does in Velero's order:
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/backup/item_backupper.go
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/restore/restore.go (restoreItem)
 *
 * @module
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { OperationProgress, ResourceIdentifier, ResourceSelector } from "../generated/velero/shared.ts"
import type { PluginIdentifier } from "../generated/velero/plugin_lister.ts"
import type { CallFailed, Client, LogLine, PluginNotStarted } from "../go-plugin/Client.ts"
import * as GoPlugin from "../go-plugin/Client.ts"
import * as Json from "../velero/Json.ts"
import { handshake } from "../velero/Serve.ts"
import type { VeleroClient } from "../velero/wire/Client.ts"
import * as Wire from "../velero/wire/Client.ts"
import type { ApiServer, KubernetesObject } from "./ApiServer.ts"
import { resourceOfKind } from "./ApiServer.ts"
import * as Selectors from "./api-server/Selectors.ts"

/** How the plugin is started. */
export interface Options {
  /** Path of the plugin's executable. */
  readonly executable: string
  /** The whole environment of the plugin's process. */
  readonly env: Readonly<Record<string, string>>
  /** As `velero server` passes them on. */
  readonly args?: ReadonlyArray<string>
  /** Gets each line that the plugin logs. */
  readonly onLog?: (line: LogLine) => void
}

const start = ({ args, env, executable, onLog }: Options) =>
  GoPlugin.start({
    command: executable,
    env,
    handshake,
    ...(args === undefined ? {} : { args }),
    ...(onLog === undefined ? {} : { onLog })
  })

/** What Velero's server does when it starts: run the executable, list its plugins, end it. */
export const discover = (
  options: Options
): Effect.Effect<ReadonlyArray<PluginIdentifier>, PluginNotStarted | CallFailed> =>
  Effect.scoped(
    Effect.flatMap(start(options), (client) =>
      Effect.map(Wire.make(client).pluginLister.listPlugins({}), ({ plugins }) => plugins)
    )
  )

/** One process, started at the first call and again after it died, as Velero's restartable process. */
export interface Manager {
  readonly client: Effect.Effect<VeleroClient & { readonly process: Client }, PluginNotStarted>
}

/** A manager, whose process ends with the scope. */
export const manager = (options: Options): Effect.Effect<Manager, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    // Concurrent first calls start one process, not one each.
    const lock = yield* Semaphore.make(1)
    let running: { readonly process: Client; readonly client: VeleroClient } | undefined
    return {
      client: Semaphore.withPermit(
        lock,
        Effect.gen(function* () {
          if (running === undefined || running.process.hasExited()) {
            const process = yield* Scope.provide(start(options), scope)
            running = { process, client: Wire.make(process) }
          }
          return { ...running.client, process: running.process }
        })
      )
    }
  })

/** An action with its selector, as Velero resolves it once at the beginning of a backup or restore. */
interface Resolved {
  readonly name: string
  readonly kind: string
  readonly applies: (resource: string, namespace: string, object: KubernetesObject) => boolean
}

const includes = (included: ReadonlyArray<string>, excluded: ReadonlyArray<string>, value: string): boolean =>
  !excluded.includes(value) && (included.length === 0 || included.includes("*") || included.includes(value))

/** Velero's discovery resolves a name in the singular, and one without its group, to the full one. */
const matchesResource = (names: ReadonlyArray<string>, resource: string, kind: string): ReadonlyArray<string> => {
  const [plural = "", ...group] = resource.split(".")
  const spellings = [plural, kind.toLowerCase()].flatMap((name) => [name, [name, ...group].join(".")])
  return names.map((name) => (spellings.includes(name) ? resource : name))
}

/** Whether an action with this selector is called for an object; `namespace` is that of the cluster which it lies in or comes to. */
export const appliesTo = (selector: ResourceSelector | undefined): Resolved["applies"] => {
  const labels = Result.getOrElse(Selectors.labels(selector?.selector ?? ""), () => () => false)
  return (resource, namespace, object) =>
    includes(
      matchesResource(selector?.includedResources ?? [], resource, object.kind),
      matchesResource(selector?.excludedResources ?? [], resource, object.kind),
      resource
    ) &&
    (namespace === ""
      ? (selector?.includedNamespaces ?? []).length === 0 && (selector?.excludedNamespaces ?? []).length === 0
      : includes(selector?.includedNamespaces ?? [], selector?.excludedNamespaces ?? [], namespace)) &&
    labels({ ...object })
}

/** An object on its way: its text, which no plugin's answer loses anything of. */
export interface Entry {
  /** `clusters.postgresql.cnpg.io`. */
  readonly resource: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly text: string
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const bytes = (text: string): Uint8Array => encoder.encode(text)

const parsed = (text: string): KubernetesObject => JSON.parse(text) as KubernetesObject

/** An entry of an object's text. */
export const entryOf = (text: string): Entry => {
  const { apiVersion, kind, metadata } = parsed(text)
  const { group, resource } = resourceOfKind(apiVersion, kind)
  return {
    resource: group === "" ? resource : `${resource}.${group}`,
    kind,
    namespace: metadata.namespace ?? "",
    name: metadata.name ?? "",
    text
  }
}

/** Something that an action began, which Velero follows until it is done. */
export interface Operation {
  /** The action that began it, and that is asked how far it is. */
  readonly plugin: string
  readonly id: string
  /** What is stored once more when it is done. */
  readonly items: ReadonlyArray<ResourceIdentifier>
}

/** What a backup did with one object. */
export interface BackedUp {
  /** As it lives in the cluster. */
  readonly before: Entry
  /** As it is stored; absent where an action failed. */
  readonly after: Entry | undefined
  /** Actions that were called for it. */
  readonly actions: ReadonlyArray<string>
  readonly error: string | undefined
  readonly operations: ReadonlyArray<Operation>
}

/** What a restore did with one item. */
export interface Restored {
  /** As the actions got it: without status, ownerReferences and the like, in its original namespace. */
  readonly before: Entry
  /** As it was created; absent where it was not. */
  readonly after: Entry | undefined
  readonly actions: ReadonlyArray<string>
  readonly outcome: "created" | "updated" | "exists" | "skipped" | "failed" | "completed"
  readonly error: string | undefined
  /** The action that left it out. */
  readonly skippedBy: string | undefined
}

const resolve = (
  plugins: ReadonlyArray<PluginIdentifier>,
  kinds: ReadonlyArray<string>,
  selectorOf: (kind: string, plugin: string) => Effect.Effect<ResourceSelector | undefined, CallFailed>
): Effect.Effect<ReadonlyArray<Resolved>, CallFailed> =>
  Effect.forEach(
    plugins.filter(({ kind }) => kinds.includes(kind)),
    ({ kind, name }) => Effect.map(selectorOf(kind, name), (selector) => ({ kind, name, applies: appliesTo(selector) }))
  )

/** Pods first, then PVCs, then PVs, then the rest of the core group, then the other groups. */
const backupRank = ({ resource }: Entry): number => {
  const index = ["pods", "persistentvolumeclaims", "persistentvolumes"].indexOf(resource)
  if (index !== -1) return index
  return resource.includes(".") ? 4 : 3
}

/** Velero's default priorities, as far as these objects can have them. */
const restorePriorities = [
  "customresourcedefinitions",
  "namespaces",
  "storageclasses.storage.k8s.io",
  "volumesnapshotclass.snapshot.storage.k8s.io",
  "volumesnapshotcontents.snapshot.storage.k8s.io",
  "volumesnapshots.snapshot.storage.k8s.io",
  "persistentvolumes",
  "persistentvolumeclaims",
  "clusterroles.rbac.authorization.k8s.io",
  "roles.rbac.authorization.k8s.io",
  "serviceaccounts",
  "clusterrolebindings.rbac.authorization.k8s.io",
  "rolebindings.rbac.authorization.k8s.io",
  "secrets",
  "configmaps",
  "limitranges",
  "priorityclasses.scheduling.k8s.io",
  "pods",
  "replicasets.apps",
  "endpoints",
  "services"
]

const restoreOrder = (a: Entry, b: Entry): number => {
  const rank = ({ resource }: Entry) => {
    const index = restorePriorities.indexOf(resource)
    return index === -1 ? restorePriorities.length : index
  }
  return rank(a) - rank(b) || (a.resource < b.resource ? -1 : a.resource > b.resource ? 1 : 0)
}

/** The Velero objects that the calls carry. */
export interface BackupSpec {
  readonly name: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly uid?: string
  /** RFC 3339; default: now. */
  readonly creationTimestamp?: string
  /** `Finalizing` when items are stored once more, after operations; default: `InProgress`. */
  readonly phase?: string
}

export interface RestoreSpec extends BackupSpec {
  readonly namespaceMapping?: Readonly<Record<string, string>>
  readonly existingResourcePolicy?: "none" | "update"
}

/** Velero's namespace in this world. */
export const veleroNamespace = "velero"

const veleroObject = (
  kind: string,
  { annotations = {}, creationTimestamp, name, phase = "InProgress", uid }: BackupSpec,
  spec: object
) =>
  Effect.map(DateTime.now, (now) =>
    bytes(
      JSON.stringify({
        apiVersion: "velero.io/v1",
        kind,
        metadata: {
          name,
          namespace: veleroNamespace,
          uid: uid ?? `${kind}-${name}`,
          creationTimestamp: creationTimestamp ?? DateTime.formatIso(now).replace(/\.\d+Z$/, "Z"),
          annotations
        },
        spec,
        status: { phase }
      })
    )
  )

/** Backs objects up, in Velero's order, and follows additional items. */
export const backup = (
  { client }: Manager,
  plugins: ReadonlyArray<PluginIdentifier>,
  objects: ReadonlyArray<Entry>,
  spec: BackupSpec
): Effect.Effect<ReadonlyArray<BackedUp>, PluginNotStarted | CallFailed> =>
  Effect.gen(function* () {
    const velero = yield* client
    const resolved = yield* resolve(plugins, ["BackupItemAction", "BackupItemActionV2"], (kind, plugin) =>
      Effect.map(
        kind === "BackupItemActionV2"
          ? velero.backupItemActionV2.appliesTo({ plugin })
          : velero.backupItemAction.appliesTo({ plugin }),
        ({ ResourceSelector }) => ResourceSelector
      )
    )
    const veleroBackup = yield* veleroObject("Backup", spec, { includedNamespaces: ["*"] })
    const done = new Map<string, BackedUp>()
    const visit = (before: Entry): Effect.Effect<void, PluginNotStarted> =>
      Effect.gen(function* () {
        if (done.has(keyOf(before))) return
        const actions: Array<string> = []
        const operations: Array<Operation> = []
        const additional: Array<ResourceIdentifier> = []
        const put = (after: Entry | undefined, error: string | undefined) =>
          done.set(keyOf(before), { before, after, actions, error, operations })
        put(before, undefined)
        let text = before.text
        for (const { applies, kind, name } of resolved) {
          if (!applies(before.resource, before.namespace, parsed(text))) continue
          actions.push(name)
          const current = yield* client
          const request = { plugin: name, item: bytes(text), backup: veleroBackup }
          const reply = yield* Effect.result(
            kind === "BackupItemActionV2"
              ? current.backupItemActionV2.execute(request)
              : Effect.map(current.backupItemAction.execute(request), (v1) => ({
                  ...v1,
                  operationID: "",
                  postOperationItems: []
                }))
          )
          if (Result.isFailure(reply)) {
            put(undefined, reply.failure.message)
            return
          }
          text = decoder.decode(reply.success.item)
          additional.push(...reply.success.additionalItems)
          if (reply.success.operationID !== "") {
            operations.push({ plugin: name, id: reply.success.operationID, items: reply.success.postOperationItems })
          }
        }
        put(entryOf(text), undefined)
        for (const identifier of additional) {
          const found = objects.find((object) => isIdentified(object, identifier))
          if (found !== undefined) yield* visit(found)
        }
      })
    for (const object of objects.toSorted((a, b) => backupRank(a) - backupRank(b))) yield* visit(object)
    return [...done.values()]
  })

/** Asks how far an operation of a backup is. */
export const progress = (
  { client }: Manager,
  { id, plugin }: Operation,
  spec: BackupSpec
): Effect.Effect<OperationProgress | undefined, PluginNotStarted | CallFailed> =>
  Effect.gen(function* () {
    const velero = yield* client
    const backup = yield* veleroObject("Backup", spec, { includedNamespaces: ["*"] })
    const reply = yield* velero.backupItemActionV2.progress({ plugin, operationID: id, backup })
    return reply.progress
  })

const keyOf = ({ name, namespace, resource }: Entry): string => `${resource} ${namespace}/${name}`

/** Whether an identifier is an entry's. */
export const isIdentified = (entry: Entry, { group, name, namespace, resource }: ResourceIdentifier): boolean =>
  entry.resource === (group === "" ? resource : `${resource}.${group}`) &&
  entry.namespace === namespace &&
  entry.name === name

/** What Velero takes off every item before the actions see it. */
const stripped = (text: string): string =>
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

interface WithStatus {
  readonly status?: { readonly phase?: string; readonly completionTime?: string }
}

/** Pods and Jobs that have done their work are not restored. */
const isCompleted = ({ kind, text }: Entry): boolean => {
  const { status } = JSON.parse(text) as WithStatus
  if (kind === "Pod") return status?.phase === "Succeeded" || status?.phase === "Failed"
  return kind === "Job" && status?.completionTime !== undefined
}

/** Restores what a backup stored into the API server's cluster. */
export const restore = (
  { client }: Manager,
  plugins: ReadonlyArray<PluginIdentifier>,
  stored: ReadonlyArray<Entry>,
  cluster: ApiServer,
  spec: RestoreSpec
): Effect.Effect<ReadonlyArray<Restored>, PluginNotStarted | CallFailed> =>
  Effect.gen(function* () {
    const velero = yield* client
    const resolved = yield* resolve(plugins, ["RestoreItemAction", "RestoreItemActionV2"], (kind, plugin) =>
      Effect.map(
        kind === "RestoreItemActionV2"
          ? velero.restoreItemActionV2.appliesTo({ plugin })
          : velero.restoreItemAction.appliesTo({ plugin }),
        ({ ResourceSelector }) => ResourceSelector
      )
    )
    const mapping = spec.namespaceMapping ?? {}
    const veleroRestore = yield* veleroObject("Restore", spec, {
      backupName: "preview",
      namespaceMapping: mapping,
      ...(spec.existingResourcePolicy === undefined ? {} : { existingResourcePolicy: spec.existingResourcePolicy })
    })
    const done = new Map<string, Restored>()

    /** Runs the actions; the outcome is the item to create, or why there is none. */
    const act = Effect.fnUntraced(function* (item: Entry, before: Entry, target: string) {
      const actions: Array<string> = []
      const additional: Array<ResourceIdentifier> = []
      let text = before.text
      for (const { applies, kind, name } of resolved) {
        if (!applies(item.resource, target, parsed(text))) continue
        actions.push(name)
        const current = yield* client
        const request = { plugin: name, item: bytes(text), itemFromBackup: bytes(item.text), restore: veleroRestore }
        const reply = yield* Effect.result(
          kind === "RestoreItemActionV2"
            ? current.restoreItemActionV2.execute(request)
            : current.restoreItemAction.execute(request)
        )
        if (Result.isFailure(reply))
          return { actions, additional, text: undefined, error: reply.failure.message, skippedBy: undefined }
        if (reply.success.skipRestore)
          return { actions, additional: [], text: undefined, error: undefined, skippedBy: name }
        text = decoder.decode(reply.success.item)
        additional.push(...reply.success.additionalItems)
      }
      return { actions, additional, text, error: undefined, skippedBy: undefined }
    })

    const visit = (item: Entry): Effect.Effect<void, PluginNotStarted> =>
      Effect.gen(function* () {
        if (done.has(keyOf(item))) return
        const before = { ...item, text: stripped(item.text) }
        const put = (outcome: Restored["outcome"], rest: Partial<Restored> = {}) =>
          done.set(keyOf(item), {
            before,
            after: undefined,
            actions: [],
            outcome,
            error: undefined,
            skippedBy: undefined,
            ...rest
          })
        if (isCompleted(item)) {
          put("completed")
          return
        }
        const target = mapping[item.namespace] ?? item.namespace
        if (target !== "") ensureNamespace(cluster, target)
        put("created")
        const { actions, additional, error, skippedBy, text } = yield* act(item, before, target)
        for (const identifier of additional) {
          const found = stored.find((other) => isIdentified(other, identifier))
          if (found !== undefined) yield* visit(found)
        }
        if (text === undefined) {
          put(skippedBy === undefined ? "failed" : "skipped", { actions, error, skippedBy })
          return
        }
        const created = target === "" ? text : Json.patch(text, [Json.set(["metadata", "namespace"], target)])
        const after = entryOf(created)
        const object = parsed(created)
        const live = cluster.get(resourceOfKind(object.apiVersion, object.kind), target || undefined, after.name)
        const policy = spec.existingResourcePolicy ?? "none"
        if (live === undefined || policy === "update") cluster.put(live === undefined ? object : merged(live, object))
        put(live === undefined ? "created" : policy === "update" ? "updated" : "exists", { actions, after })
      })
    // A mapped namespace is made by the restore itself; its own item is not restored under the old name.
    const items = stored.filter(({ name, resource }) => resource !== "namespaces" || mapping[name] === undefined)
    for (const item of items.toSorted(restoreOrder)) yield* visit(item)
    return [...done.values()]
  })

const ensureNamespace = (cluster: ApiServer, name: string): void => {
  const namespaces = resourceOfKind("v1", "Namespace")
  if (cluster.get(namespaces, undefined, name) === undefined) {
    cluster.put({ apiVersion: "v1", kind: "Namespace", metadata: { name } })
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Velero's `update`: a merge patch from the live object to the item, which keeps what only the live one has under metadata. */
const merged = (live: KubernetesObject, item: KubernetesObject): KubernetesObject => ({
  ...item,
  ...(isObject(live["status"]) ? { status: live["status"] } : {}),
  metadata: { ...live.metadata, ...item.metadata }
})
