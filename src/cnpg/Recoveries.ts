/**
 * What a backup knows about the recovery of each Cluster: read once for each Cluster and Velero backup, and then the same for
 * the Cluster and for everything that it owns, in whatever order Velero brings them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { KubernetesError, Resource } from "../kubernetes/Kubernetes.ts"
import { Kubernetes, resources as coreResources } from "../kubernetes/Kubernetes.ts"
import * as Archive from "./Archive.ts"
import type { Cluster } from "./Cluster.ts"
import { decodeCluster } from "./Cluster.ts"
import { annotation, cnpgGroup, label, resources } from "./Names.ts"
import { makeOnce } from "./Once.ts"
import type { Completed, Newest } from "./RecordedBackup.ts"
import { collect, newestOf } from "./RecordedBackup.ts"
import * as RecoveryWindow from "./RecoveryWindow.ts"

/** What is known of a Cluster's backups. */
export type Recorded =
  | { readonly _tag: "Found"; readonly backup: Completed }
  | { readonly _tag: "NoneCompleted" }
  /** They could not be read; `reason` says why and what to do. */
  | { readonly _tag: "Unknown"; readonly reason: string }

/** What is known of a Cluster. */
export interface Recovery {
  readonly clusterUid: string | undefined
  readonly archive: Archive.Archive
  /** `Unknown` also where there is no archive to recover from. */
  readonly recorded: Recorded
  /** How far back the archive reaches. */
  readonly window: RecoveryWindow.RecoveryWindow
  /** The Cluster's `recover-from` annotation, unchecked. */
  readonly recoverFrom: string | undefined
  /** The Cluster's annotations, for settings. */
  readonly annotations: Readonly<Record<string, string>> | null | undefined
}

/** Kinds through which a Cluster owns an object indirectly. */
export type Parent = "Service" | "Job"

export class Recoveries extends Context.Service<
  Recoveries,
  {
    /** The recovery of a Cluster whose view is at hand. */
    readonly ofCluster: (owner: string, cluster: Cluster) => Effect.Effect<Recovery>
    /** The recovery of a Cluster by name: it is read unless it is known already. None where there is no such Cluster. */
    readonly ofName: (owner: string, namespace: string, name: string) => Effect.Effect<Option.Option<Recovery>>
    /** Names of the Services or Jobs that a Cluster owns itself, each with that Cluster's UID; empty where they cannot be read. */
    readonly ownedParents: (
      owner: string,
      namespace: string,
      cluster: string,
      kind: Parent
    ) => Effect.Effect<ReadonlyMap<string, string | undefined>>
  }
>()("velero-plugin-cnpg/cnpg/Recoveries") {}

const noArchive: Recorded = { _tag: "Unknown", reason: "the Cluster has no archive to recover from" }

const parentResources: Record<Parent, Resource> = { Service: coreResources.services, Job: coreResources.jobs }

interface Owned {
  readonly kind?: string
  readonly apiVersion?: string
  readonly name?: string
  readonly uid?: string
}

/** Whether an owner reference points at a CNPG object of a kind. */
export const isCnpgOwner = (reference: Owned, kind: string): boolean =>
  reference.kind === kind && (reference.apiVersion ?? "").startsWith(`${cnpgGroup}/`)

const make = Effect.gen(function* () {
  const kubernetes = yield* Kubernetes
  const once = makeOnce()

  /** A namespace's Backups are read once for all Clusters in it, a page at a time. */
  const newestIn = (owner: string, namespace: string) =>
    once(
      owner,
      `Backups ${namespace}`,
      Effect.result(kubernetes.fold(resources.backups, { namespace }, (): Newest => new Map(), collect))
    )

  const recordedOf = (owner: string, cluster: Cluster, archive: Archive.Recoverable): Effect.Effect<Recorded> =>
    Effect.map(
      newestIn(owner, cluster.metadata.namespace ?? ""),
      Result.match({
        onFailure: (error): Recorded => ({ _tag: "Unknown", reason: error.message }),
        onSuccess: (newest) =>
          Option.match(newestOf(newest, cluster, archive), {
            onNone: (): Recorded => ({ _tag: "NoneCompleted" }),
            onSome: (backup): Recorded => ({ _tag: "Found", backup })
          })
      })
    )

  const windowOf = (cluster: Cluster, archive: Archive.Recoverable) =>
    RecoveryWindow.of(cluster, archive, archive.serverName).pipe(Effect.provideService(Kubernetes, kubernetes))

  const recoveryOf = (owner: string, cluster: Cluster): Effect.Effect<Recovery> => {
    const archive = Archive.find(cluster)
    return Effect.gen(function* () {
      const recorded = Archive.isRecoverable(archive) ? yield* recordedOf(owner, cluster, archive) : noArchive
      return {
        clusterUid: cluster.metadata.uid ?? undefined,
        archive,
        recorded,
        // Where the Backups cannot be read, nothing else is tried.
        window:
          Archive.isRecoverable(archive) && recorded._tag !== "Unknown"
            ? yield* windowOf(cluster, archive)
            : RecoveryWindow.unknown,
        recoverFrom: cluster.metadata.annotations?.[annotation.recoverFrom],
        annotations: cluster.metadata.annotations
      }
    })
  }

  const unreadable = (error: KubernetesError): Effect.Effect<Option.Option<Recovery>> =>
    error._tag === "NotFound"
      ? Effect.succeedNone
      : Effect.succeedSome({
          clusterUid: undefined,
          archive: { _tag: "None" },
          recorded: { _tag: "Unknown", reason: error.message },
          window: RecoveryWindow.unknown,
          recoverFrom: undefined,
          annotations: undefined
        })

  const keyOf = (namespace: string, name: string) => `${namespace}/${name}`

  return Recoveries.of({
    ofCluster: (owner, cluster) =>
      Effect.map(
        once(
          owner,
          keyOf(cluster.metadata.namespace ?? "", cluster.metadata.name),
          Effect.asSome(recoveryOf(owner, cluster))
        ) as Effect.Effect<Option.Option<Recovery>>,
        // A Cluster that was looked up by name before it existed: what is at hand is newer.
        Option.getOrElse((): Recovery => ({
          clusterUid: cluster.metadata.uid ?? undefined,
          archive: Archive.find(cluster),
          recorded: { _tag: "NoneCompleted" },
          window: RecoveryWindow.unknown,
          recoverFrom: cluster.metadata.annotations?.[annotation.recoverFrom],
          annotations: cluster.metadata.annotations
        }))
      ),
    ofName: (owner, namespace, name) =>
      once(
        owner,
        keyOf(namespace, name),
        kubernetes.get(resources.clusters, namespace, name).pipe(
          Effect.flatMap((object) =>
            Option.match(decodeCluster(object), {
              onNone: () => Effect.succeedNone,
              onSome: (cluster) => Effect.asSome(recoveryOf(owner, cluster))
            })
          ),
          Effect.catch(unreadable)
        )
      ),
    ownedParents: (owner, namespace, cluster, kind) =>
      once(
        owner,
        `${kind} ${keyOf(namespace, cluster)}`,
        kubernetes
          .fold(
            parentResources[kind],
            { namespace, labelSelector: `${label.cluster}=${cluster}` },
            () => new Map<string, string | undefined>(),
            (parents, { metadata }) => {
              const owners = (metadata?.["ownerReferences"] ?? []) as ReadonlyArray<Owned>
              const owning = owners.find((reference) => isCnpgOwner(reference, "Cluster") && reference.name === cluster)
              return owning === undefined || metadata?.name === undefined
                ? parents
                : parents.set(metadata.name, owning.uid)
            }
          )
          .pipe(Effect.orElseSucceed((): ReadonlyMap<string, string | undefined> => new Map()))
      )
  })
})

export const layer: Layer.Layer<Recoveries, never, Kubernetes> = Layer.effect(Recoveries, make)
