/**
 * What a backup would record and a restore would change, shown on anybody's manifests without a cluster; or, of a backup that there
 * is, what a restore would change.
 *
 * Nothing is simulated that the plugin does: its own executable is started as Velero starts it, an in-process API server
 * stands behind it with the objects of the manifests, and Velero's part is played by `testing/VeleroHost.ts`.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CallFailed, LogLine, PluginNotStarted } from "../go-plugin/Client.ts"
import type { Kubernetes, KubernetesError, Resource } from "../kubernetes/Kubernetes.ts"
import { groupResource } from "../kubernetes/Kubernetes.ts"
import type { ManifestError } from "../kubernetes/Manifests.ts"
import * as Manifests from "../kubernetes/Manifests.ts"
import type { ApiServer, ApiServerError, KubernetesObject } from "../testing/ApiServer.ts"
import * as ApiServers from "../testing/ApiServer.ts"
import type { BackedUp, Entry, Restored } from "../testing/VeleroHost.ts"
import * as VeleroHost from "../testing/VeleroHost.ts"
import type { Plugin } from "../velero/Plugin.ts"
import type { ResourceSelector } from "../velero/Resources.ts"
import * as Messages from "../velero/wire/Messages.ts"
import type { PluginNotLoaded, UnknownPlugin } from "../velero/wire/Registry.ts"
import * as Plugins from "./Plugins.ts"
import * as Input from "./preview/Input.ts"
import type { Living, NothingLiving } from "./preview/Living.ts"
import type { Tarball, TarballError } from "./preview/Tarball.ts"

/** What a pack is about. */
export interface Subject {
  /** Of a cluster, the namespaces that have one of these are previewed; the tarball of a backup without any is refused. */
  readonly resource: Resource
  /** What people call them, in the plural. */
  readonly title: string
  /** Resources that actions look for, besides those that they are called for. */
  readonly lookedFor: ReadonlyArray<Resource>
  /**
   * An object that an action made, as its controller would leave it if all went well, so that what waits for it comes to an end;
   * `now` is RFC 3339.
   */
  readonly complete?: (object: KubernetesObject, now: string) => KubernetesObject | undefined
}

export interface Options {
  readonly executable: string
  readonly plugins: ReadonlyArray<Plugin<unknown>>
  readonly subject: Subject | undefined
  /** `-` is standard input. */
  readonly files: ReadonlyArray<string>
  /** A cluster, instead of manifests, or to restore a tarball into. Only read. */
  readonly cluster:
    | {
        readonly subject: Subject
        readonly kubernetes: Layer.Layer<Kubernetes>
        /** As people call it. */
        readonly name: string
        /** `undefined`: all. */
        readonly namespace: string | undefined
        readonly veleroNamespace: string
      }
    | undefined
  readonly namespaceMapping: Readonly<Record<string, string>>
  /** Annotations of the Velero Backup, such as `velero-cnpg/on-demand-backup: "true"`. */
  readonly backupAnnotations: Readonly<Record<string, string>>
  /** Annotations of the Velero Restore, such as `velero-cnpg/recover-from: volumes`. */
  readonly restoreAnnotations: Readonly<Record<string, string>>
}

/** Somebody pressed Ctrl-C, or asked the process to end. */
export class Interrupted extends Data.TaggedError("Interrupted")<{ readonly signal: string }> {
  override get message() {
    return `ended by ${this.signal} before there was something to show`
  }
}

/** Fails at the first such signal, so that finalizers run: the kubeconfig goes, and the plugin's process, which ignores SIGINT. */
const signalled = Effect.callback<never, Interrupted>((resume) => {
  const stop = (signal: string) => resume(Effect.fail(new Interrupted({ signal })))
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const
  for (const signal of signals) process.once(signal, stop)
  return Effect.sync(() => {
    for (const signal of signals) process.off(signal, stop)
  })
})

/** The tarball holds nothing to preview. */
export class NothingOfInterest extends Data.TaggedError("NothingOfInterest")<{
  readonly tarball: Tarball
  readonly subject: Subject
}> {
  override get message() {
    const { entries, file, others } = this.tarball
    const items = entries.length + [...others.values()].reduce((sum, count) => sum + count, 0)
    const namespaces = [...new Set(entries.map(({ namespace }) => namespace))].filter((name) => name !== "").toSorted()
    const seen = namespaces.length === 0 ? "" : ` (with namespace ${namespaces.join(", ")})`
    const { resource, title } = this.subject
    return `${file}: of its ${items} items${seen} none is one of ${title}. Name a backup of a namespace that has some, made with ${groupResource(resource)} among its resources`
  }
}

/** What was asked for cannot be played. */
export class Contradiction extends Data.TaggedError("Contradiction")<{ readonly problem: string }> {
  override get message() {
    return this.problem
  }
}

/** What there is to play with. */
interface Given extends Input.Files {
  readonly living: (Living & { readonly name: string }) | undefined
}

/** What Velero waits for before a backup is completed. */
export interface Waited {
  /** At whose backup it was begun. */
  readonly item: Entry
  /** How far it is at first, in the plugin's words. */
  readonly waitsFor: string
  /** What it says at its end, when whatever it waited for is done; `null`: it has no end here. */
  readonly done: string | null
  readonly error: string | null
}

/** Everything that there is to show. */
export interface Preview {
  /** What was read, as people call it. */
  readonly files: ReadonlyArray<string>
  readonly backupAnnotations: Readonly<Record<string, string>>
  readonly restoreAnnotations: Readonly<Record<string, string>>
  readonly namespaceMapping: Readonly<Record<string, string>>
  /** The backup that was restored; `undefined`: that of the preview. */
  readonly tarball: Tarball | undefined
  /** The cluster that was read; `undefined`: none. */
  readonly cluster:
    | {
        readonly name: string
        /** Namespaces that were read. */
        readonly namespaces: ReadonlyArray<string>
        /** What could not be read, and why. */
        readonly unread: ReadonlyArray<string>
      }
    | undefined
  /** Without items where there is a tarball. */
  readonly backup: {
    readonly items: ReadonlyArray<BackedUp>
    readonly logs: ReadonlyArray<LogLine>
    readonly operations: ReadonlyArray<Waited>
    /** Objects that the plugin wrote to the cluster, as it wrote them. */
    readonly written: ReadonlyArray<KubernetesObject>
  }
  readonly restore: { readonly items: ReadonlyArray<Restored>; readonly logs: ReadonlyArray<LogLine> }
  /** Objects that the plugin itself wrote to the cluster at the restore. */
  readonly written: ReadonlyArray<KubernetesObject>
}

const defaultNamespace = "default"

/** As `kubectl apply` would place it. */
const placed = (object: KubernetesObject): KubernetesObject =>
  object.metadata.namespace === undefined && ApiServers.resourceOfKind(object.apiVersion, object.kind).namespaced
    ? { ...object, metadata: { ...object.metadata, namespace: defaultNamespace } }
    : object

/** A kubeconfig for the plugin's process: it holds a token, so nobody else may read it. */
const kubeconfigFile = (cluster: ApiServer) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => {
        const directory = Fs.mkdtempSync(Path.join(Os.tmpdir(), "velero-plugin-preview-"))
        Fs.writeFileSync(Path.join(directory, "kubeconfig"), cluster.kubeconfig, { mode: 0o600 })
        return directory
      }),
      (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
    ),
    (directory) => Path.join(directory, "kubeconfig")
  )

/** Velero's own namespace holds the plugin's configuration, which is not part of the backup. */
const isBackedUp = ({ kind, name, namespace }: Entry): boolean =>
  namespace !== VeleroHost.veleroNamespace && !(kind === "Namespace" && name === VeleroHost.veleroNamespace)

/** Objects that requests changed, as they are now. */
const writtenObjects = (cluster: ApiServer): ReadonlyArray<KubernetesObject> => {
  const paths = new Set(
    cluster
      .requests()
      .filter(({ method, status }) => method !== "GET" && status >= 200 && status < 300)
      .map(({ path }) => path)
  )
  return cluster.all().filter(({ apiVersion, kind, metadata }) => {
    const { resource } = ApiServers.resourceOfKind(apiVersion, kind)
    const root = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`
    const place = metadata.namespace === undefined ? "" : `/namespaces/${metadata.namespace}`
    return paths.has(`${root}${place}/${resource}/${metadata.name ?? ""}`)
  })
}

/** Without what its controller, as it is played here, has noted on it. */
const asWritten = (object: KubernetesObject): KubernetesObject => {
  const { status: _status, ...written } = object
  return written as KubernetesObject
}

/**
 * Follows the operations of a backup as Velero does, by asking again and again, and plays meanwhile those who do the work. There are
 * as many rounds as operations at most, since one may wait for another.
 */
const follow = (
  manager: VeleroHost.Manager,
  cluster: ApiServer,
  items: ReadonlyArray<BackedUp>,
  spec: VeleroHost.BackupSpec,
  subject: Subject | undefined
) =>
  Effect.gen(function* () {
    const asked = items.flatMap(({ before, operations }) =>
      operations.map((operation) => ({ item: before, operation }))
    )
    const ask = (operation: VeleroHost.Operation) =>
      Effect.match(VeleroHost.progress(manager, operation, spec), {
        onFailure: ({ message }) => ({ completed: true, description: "", err: message }),
        onSuccess: (progress) => progress ?? { completed: false, description: "", err: "" }
      })
    const followed = new Map<VeleroHost.Operation, Waited>()
    for (let round = 0; round <= asked.length + 1; round++) {
      for (const { item, operation } of asked) {
        const before = followed.get(operation)
        if (before !== undefined && (before.done !== null || before.error !== null)) continue
        const { completed, description, err } = yield* ask(operation)
        const waitsFor = before?.waitsFor ?? description
        followed.set(operation, { item, waitsFor, done: completed ? description : null, error: err || null })
      }
      const now = DateTime.formatIso(yield* DateTime.now).replace(/\.\d+Z$/, "Z")
      for (const object of writtenObjects(cluster)) {
        const completed = object["status"] === undefined ? subject?.complete?.(object, now) : undefined
        if (completed !== undefined) cluster.put(completed)
      }
    }
    return [...followed].map(([{ items }, waited]) => ({ ...waited, items }))
  })

/** Backs up what is given, but for a tarball; loses what is not mapped elsewhere; restores. */
const show = (
  { backupAnnotations, executable, files, namespaceMapping, restoreAnnotations, subject }: Options,
  { living, manifests, tarball }: Given
): Effect.Effect<Preview, ApiServerError | PluginNotStarted | CallFailed> =>
  Effect.scoped(
    Effect.gen(function* () {
      const objects = [...(living?.objects ?? []), ...manifests].map(placed)
      const cluster = yield* ApiServers.make({ objects, createNamespaces: true })
      const kubeconfig = yield* kubeconfigFile(cluster)
      const logs = { backup: [] as Array<LogLine>, restore: [] as Array<LogLine> }
      const options = (onLog: (line: LogLine) => void): VeleroHost.Options => ({
        executable,
        env: { KUBECONFIG: kubeconfig, VELERO_NAMESPACE: VeleroHost.veleroNamespace, TMPDIR: Os.tmpdir() },
        args: ["--log-level", "info"],
        onLog
      })
      const plugins = yield* VeleroHost.discover(options(() => {}))

      /** What was backed up. What is restored under its own name has to be gone first: the disaster. */
      const backUp = Effect.gen(function* () {
        const given = new Set(
          objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ""}/${metadata.name}`)
        )
        const entries = cluster
          .all()
          .filter(({ kind, metadata }) => given.has(`${kind} ${metadata.namespace ?? ""}/${metadata.name}`))
          .map((object) => VeleroHost.entryOf(JSON.stringify(object)))
          .filter(isBackedUp)
          .filter(({ namespace }) => living === undefined || namespace === "" || living.namespaces.includes(namespace))
        const spec = { name: "preview", annotations: backupAnnotations }
        const session = <A, E>(use: (manager: VeleroHost.Manager) => Effect.Effect<A, E>) =>
          Effect.scoped(Effect.flatMap(VeleroHost.manager(options((line) => logs.backup.push(line))), use))
        const first = yield* session((manager) => VeleroHost.backup(manager, plugins, entries, spec))
        const operations = yield* session((manager) => follow(manager, cluster, first, spec, subject))
        const again = operations
          .filter(({ done, error }) => done !== null && error === null)
          .flatMap(({ items }) => entries.filter((entry) => items.some((item) => VeleroHost.isIdentified(entry, item))))
        const last =
          again.length === 0
            ? []
            : yield* session((manager) => VeleroHost.backup(manager, plugins, again, { ...spec, phase: "Finalizing" }))
        const items = first.map((item) => {
          const final = last.find(({ before }) => before.text === item.before.text)
          return final === undefined ? item : { ...item, after: final.after, error: final.error }
        })
        const made = writtenObjects(cluster)
        for (const { after, before } of items) {
          if (after === undefined || namespaceMapping[before.namespace] !== undefined) continue
          const { apiVersion, kind, metadata } = JSON.parse(before.text) as KubernetesObject
          if (kind !== "Namespace" && kind !== "CustomResourceDefinition") {
            cluster.remove(ApiServers.resourceOfKind(apiVersion, kind), metadata.namespace, metadata.name ?? "")
          }
        }
        for (const { apiVersion, kind, metadata } of made) {
          if (namespaceMapping[metadata.namespace ?? ""] !== undefined) continue
          cluster.remove(ApiServers.resourceOfKind(apiVersion, kind), metadata.namespace, metadata.name ?? "")
        }
        return {
          items,
          operations: operations.map(({ done, error, item, waitsFor }) => ({ item, waitsFor, done, error })),
          written: made.map(asWritten)
        }
      })
      const backedUp = tarball === undefined ? yield* backUp : { items: [], operations: [], written: [] }
      cluster.clearRequests()

      const stored = tarball?.entries ?? backedUp.items.flatMap(({ after }) => (after === undefined ? [] : [after]))
      const restored = yield* Effect.scoped(
        Effect.flatMap(VeleroHost.manager(options((line) => logs.restore.push(line))), (manager) =>
          VeleroHost.restore(manager, plugins, stored, cluster, {
            name: "preview",
            namespaceMapping,
            annotations: restoreAnnotations
          })
        )
      )
      return {
        files: files.map(Manifests.nameOf),
        backupAnnotations,
        restoreAnnotations,
        namespaceMapping,
        tarball,
        cluster:
          living === undefined
            ? undefined
            : {
                name: living.name,
                namespaces: living.namespaces,
                unread: living.unread.map(({ message }) => message)
              },
        backup: { ...backedUp, logs: logs.backup },
        restore: { items: restored, logs: logs.restore },
        written: writtenObjects(cluster)
      }
    })
  )

/** How actions of these kinds choose their items. */
const selectorsOf = ({ plugins }: Options, kinds: ReadonlyArray<string>) =>
  Effect.map(Plugins.list(plugins), (listed) =>
    listed.flatMap(({ kind, selector }) => (selector !== null && kinds.includes(kind) ? [selector] : []))
  )

const backupKinds = ["BackupItemAction", "BackupItemActionV2"]
const restoreKinds = ["RestoreItemAction", "RestoreItemActionV2"]

/** Items that one of these actions is called for, or looks for. */
const wanted = ({ namespaceMapping, subject }: Options, selectors: ReadonlyArray<ResourceSelector>) => {
  const lookedFor = new Set(["namespaces", ...(subject?.lookedFor ?? []).map(groupResource)])
  const applies = selectors.map((selector) => VeleroHost.appliesTo(Messages.selectorMessage(selector)))
  return ({ namespace, resource, text }: Entry): boolean => {
    if (lookedFor.has(resource)) return true
    const object = JSON.parse(text) as KubernetesObject
    return applies.some(
      (isFor) => isFor(resource, namespace, object) || isFor(resource, namespaceMapping[namespace] ?? namespace, object)
    )
  }
}

/** Resources of which these actions are called for some. */
const resourcesOf = (selectors: ReadonlyArray<ResourceSelector>, { lookedFor }: Subject): ReadonlyArray<Resource> => {
  const called = new Set(selectors.flatMap(({ includedResources = [] }) => includedResources))
  const known = ApiServers.builtInResources.filter(({ group, kind, resource }) =>
    [resource, kind.toLowerCase()].some((name) => called.has(name) || called.has(`${name}.${group}`))
  )
  const names = new Set(lookedFor.map(groupResource))
  return [...lookedFor, ...known.filter((resource) => !names.has(groupResource(resource)))]
}

/** Reads the cluster: what a backup of its Clusters would find, or what a tarball's would come to. */
const readCluster = (options: Options, { manifests, tarball }: Input.Files) =>
  Effect.gen(function* () {
    const { cluster, namespaceMapping } = options
    if (cluster === undefined) return undefined
    const { kubernetes, name, namespace, subject, veleroNamespace } = cluster
    if (manifests.length > 0) {
      return yield* new Contradiction({
        problem: "name manifests or a cluster, not both; into a cluster only the tarball of a backup can be restored"
      })
    }
    if (tarball !== undefined && namespace !== undefined) {
      return yield* new Contradiction({
        problem: "--namespace chooses what is backed up, and a tarball is a backup already: leave it out"
      })
    }
    const targets = tarball?.entries
      .filter(({ resource }) => resource === groupResource(subject.resource))
      .map((entry) => namespaceMapping[entry.namespace] ?? entry.namespace)
    const selectors = yield* selectorsOf(options, [...backupKinds, ...restoreKinds])
    const [{ read }, { readOnly }] = yield* Effect.promise(() =>
      Promise.all([import("./preview/Living.ts"), import("./Cluster.ts")])
    )
    const living = yield* read(subject, resourcesOf(selectors, subject), {
      namespace,
      veleroNamespace,
      ...(targets === undefined ? {} : { targets: [...new Set(targets)] })
    }).pipe(Effect.provide(Layer.provide(readOnly, kubernetes)))
    const isWanted = wanted(options, selectors)
    return {
      ...living,
      name,
      objects: living.objects.filter((object) => isWanted(VeleroHost.entryOf(JSON.stringify(object))))
    }
  })

/** Reads what there is to preview. */
const load = (options: Options) =>
  Effect.gen(function* () {
    const selectors = yield* selectorsOf(options, restoreKinds)
    const files = yield* Input.load(options.files, wanted(options, selectors))
    const { subject } = options
    const { tarball } = files
    if (tarball !== undefined && subject !== undefined) {
      const name = groupResource(subject.resource)
      if (!tarball.entries.some(({ resource }) => resource === name)) {
        return yield* new NothingOfInterest({ tarball, subject })
      }
    }
    return { ...files, living: yield* readCluster(options, files) }
  })

/** The preview of manifests, of a backup's tarball, or of a cluster. */
export const run = (
  options: Options
): Effect.Effect<
  Preview,
  | ManifestError
  | TarballError
  | NothingOfInterest
  | Contradiction
  | KubernetesError
  | NothingLiving
  | UnknownPlugin
  | PluginNotLoaded
  | ApiServerError
  | PluginNotStarted
  | CallFailed
  | Interrupted
> =>
  // Reading comes first and alone: Ctrl-C ends it as always, and nothing is there to be removed.
  Effect.flatMap(load(options), (input) => Effect.raceFirst(show(options, input), signalled))

/** Whether any action failed on any item. */
export const hasFailed = ({ backup, restore }: Preview): boolean =>
  backup.operations.some(({ error }) => error !== null) ||
  backup.items.some(({ error }) => error !== undefined) ||
  restore.items.some(({ error }) => error !== undefined)
