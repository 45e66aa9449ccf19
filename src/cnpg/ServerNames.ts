/**
 * New server names for restored Clusters: `{cluster}-{YYYYMMDD-HHMMSS}` in UTC, never one that is taken.
 *
 * Writing into an archive that another Cluster writes to or recovers from destroys it, so a name is refused when this process
 * has issued it, when a live Cluster anywhere uses it, or when the target namespace's ConfigMap mentions it; the time is then
 * advanced, a second at a time. The same Cluster of the same Restore gets the same name again.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { KubernetesError } from "../kubernetes/Kubernetes.ts"
import { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Option from "effect/Option"
import * as Archive from "./Archive.ts"
import { decodeCluster } from "./Cluster.ts"
import { resources } from "./Names.ts"

/** The Cluster that gets a name, and for which Restore. */
export interface Claim {
  /** The Restore, by its key. */
  readonly restore: string
  /** Namespace that the Cluster comes from. */
  readonly namespace: string
  readonly cluster: string
  /** Names that the caller knows to be taken. */
  readonly taken: ReadonlySet<string>
  /** The name that this Restore gave the Cluster before the process was restarted, if any. */
  readonly earlier: string | undefined
}

/** A name, and what could not be checked. */
export interface Issued {
  readonly name: string
  /** Why the live Clusters' names are unknown. */
  readonly unchecked: KubernetesError | undefined
}

export class ServerNames extends Context.Service<
  ServerNames,
  { readonly issue: (claim: Claim) => Effect.Effect<Issued> }
>()("velero-plugin-cnpg/cnpg/ServerNames") {}

const two = (value: number): string => String(value).padStart(2, "0")

/** `YYYYMMDD-HHMMSS` of a time in UTC. */
export const stamp = (time: DateTime.Utc): string => {
  const { day, hour, minute, month, second, year } = DateTime.toPartsUtc(time)
  return `${String(year).padStart(4, "0")}${two(month)}${two(day)}-${two(hour)}${two(minute)}${two(second)}`
}

const nextSecond = (time: DateTime.Utc): DateTime.Utc => DateTime.add(time, { seconds: 1 })

/** The first time, from one on, whose name is free. */
const firstFree = (cluster: string, from: DateTime.Utc, isTaken: (name: string) => boolean): DateTime.Utc => {
  let time = from
  while (isTaken(`${cluster}-${stamp(time)}`)) time = nextSecond(time)
  return time
}

interface Live {
  readonly names: ReadonlySet<string>
  readonly unchecked: KubernetesError | undefined
}

const make = Effect.gen(function* () {
  const kubernetes = yield* Kubernetes
  /** By claim; a name stays issued for the life of the process. */
  const issued = new Map<string, string>()
  const issuedNames = new Set<string>()
  /** By Cluster name: behind the last name that was found for it, so that many of one name do not all begin at the first. */
  const next = new Map<string, DateTime.Utc>()
  let live: { readonly restore: string; readonly read: Effect.Effect<Live> } | undefined

  const readLive: Effect.Effect<Live> = kubernetes
    .fold(
      resources.clusters,
      {},
      () => new Set<string>(),
      (names, object) => {
        const cluster = Option.getOrUndefined(decodeCluster(object))
        if (cluster !== undefined) for (const name of Archive.serverNames(cluster)) names.add(name)
        return names
      }
    )
    .pipe(
      Effect.map((names): Live => ({ names, unchecked: undefined })),
      Effect.catch((error) => Effect.succeed<Live>({ names: new Set(), unchecked: error }))
    )

  /** Once for each Restore: what it makes itself is known as issued. */
  const liveNames = (restore: string): Effect.Effect<Live> =>
    Effect.suspend(() => {
      if (live?.restore === restore) return live.read
      return Effect.flatMap(Effect.cached(readLive), (read) => {
        live = { restore, read }
        return read
      })
    })

  return ServerNames.of({
    issue: ({ cluster, earlier, namespace, restore, taken }) =>
      Effect.gen(function* () {
        const { names, unchecked } = yield* liveNames(restore)
        const now = yield* DateTime.now
        // From here on nothing waits, so that two claims cannot get the same name.
        const key = [restore, namespace, cluster].join("|")
        const isUsed = (candidate: string) => issuedNames.has(candidate) || names.has(candidate)
        const find = () => {
          const from = DateTime.max(now, next.get(cluster) ?? now)
          const time = firstFree(cluster, from, (candidate) => taken.has(candidate) || isUsed(candidate))
          next.set(cluster, nextSecond(time))
          return `${cluster}-${stamp(time)}`
        }
        const name = issued.get(key) ?? (earlier !== undefined && !isUsed(earlier) ? earlier : find())
        issued.set(key, name)
        issuedNames.add(name)
        return { name, unchecked }
      })
  })
})

export const layer: Layer.Layer<ServerNames, never, Kubernetes> = Layer.effect(ServerNames, make)
