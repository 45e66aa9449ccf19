/**
 * How far back an archive reaches: the end of the oldest base backup that it still has, as Barman and the operator note it.
 *
 * For the Barman Cloud plugin it stands in the status of the ObjectStore, for an in-tree store in that of the Cluster. Whoever may
 * not read it, or finds none, does without.
 *
 * @see https://github.com/cloudnative-pg/plugin-barman-cloud/blob/v0.14.0/api/v1/objectstore_types.go (RecoveryWindow)
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { KubernetesError } from "../kubernetes/Kubernetes.ts"
import { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as View from "../velero/View.ts"
import type { Archive } from "./Archive.ts"
import type { Cluster } from "./Cluster.ts"
import { resources } from "./Names.ts"

const Window = Schema.Struct({ firstRecoverabilityPoint: View.optional(Schema.String) })

const decodeStore = Schema.decodeUnknownOption(
  Schema.Struct({
    status: Schema.Struct({ serverRecoveryWindow: Schema.Record(Schema.String, Schema.NullOr(Window)) })
  })
)

const decodeStatus = Schema.decodeUnknownOption(
  Schema.Struct({ firstRecoverabilityPointByMethod: Schema.Struct({ barmanObjectStore: Schema.String }) })
)

export interface RecoveryWindow {
  /** RFC 3339; `undefined` where nothing tells. */
  readonly first: string | undefined
  /** Why it could not be read, other than that it does not exist. */
  readonly problem: KubernetesError | undefined
}

/** Nothing tells. */
export const unknown: RecoveryWindow = { first: undefined, problem: undefined }

/** An earlier window of the same archive says less: backups are removed, from the oldest on. */
export const later = (a: string | undefined, b: string | undefined): string | undefined => {
  const [first, second] = [a, b].map((text) => Option.getOrUndefined(DateTime.make(text ?? "")))
  if (first === undefined || second === undefined) return first === undefined ? b : a
  return DateTime.isGreaterThan(second, first) ? b : a
}

/** The window of a Cluster's archive under a server name. */
export const of = (
  { metadata, status }: Cluster,
  archive: Archive,
  serverName: string
): Effect.Effect<RecoveryWindow, never, Kubernetes> => {
  if (archive._tag !== "Plugin" || archive.barmanObjectName === undefined) {
    const own = archive._tag === "InTree" ? Option.getOrUndefined(decodeStatus(status)) : undefined
    return Effect.succeed({ first: own?.firstRecoverabilityPointByMethod.barmanObjectStore, problem: undefined })
  }
  const name = archive.barmanObjectName
  return Effect.flatMap(Kubernetes, (kubernetes) =>
    kubernetes.get(resources.objectStores, metadata.namespace ?? "", name)
  ).pipe(
    Effect.map((store) => {
      const windows = Option.getOrUndefined(decodeStore(store))?.status.serverRecoveryWindow ?? {}
      const window = Object.hasOwn(windows, serverName) ? windows[serverName] : undefined
      return { first: window?.firstRecoverabilityPoint || undefined, problem: undefined }
    }),
    Effect.catch((problem) =>
      Effect.succeed({ first: undefined, problem: problem._tag === "NotFound" ? undefined : problem })
    )
  )
}
