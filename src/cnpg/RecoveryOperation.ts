/**
 * The operation of a restored Cluster, as its id says it: Velero asks each time from a new process, which knows nothing else.
 *
 * `recover shop/orders as orders-20261119-093000 since 2026-11-19T09:30:00.000Z within 30m`; a person reads it in
 * `velero restore describe --details`.
 */
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidOperation } from "../velero/Operation.ts"
import * as GoDuration from "./GoDuration.ts"

const ways = { recover: "object-store", start: "volumes" } as const

/** All that there is to know. */
export interface RecoveryOperation {
  /** What the Cluster gets its data from. */
  readonly from: (typeof ways)[keyof typeof ways]
  /** Where it lands. */
  readonly namespace: string
  readonly cluster: string
  /** The server name that it archives under; no other Cluster has it. */
  readonly destination: string
  /** When Velero was about to create it. */
  readonly started: DateTime.Utc
  /** How long nothing may happen. */
  readonly limit: Duration.Duration
}

export const id = ({ cluster, destination, from, limit, namespace, started }: RecoveryOperation): string =>
  `${from === "volumes" ? "start" : "recover"} ${namespace}/${cluster} as ${destination} since ${DateTime.formatIso(started)} within ${GoDuration.format(limit)}`

/** The operation of an id, which may be anybody's. */
export const ofId = (text: string): Effect.Effect<RecoveryOperation, InvalidOperation> => {
  const [, way = "", namespace = "", cluster = "", destination = "", since = "", within = ""] =
    /^(recover|start) ([^\s/]+)\/([^\s/]+) as (\S+) since (\S+) within (\S+)$/.exec(text) ?? []
  return Effect.fromOption(
    Option.map(
      Option.all({ started: DateTime.make(since), limit: GoDuration.parse(within) }),
      ({ limit, started }) => ({
        from: ways[way as keyof typeof ways],
        namespace,
        cluster,
        destination,
        started: DateTime.toUtc(started),
        limit
      })
    )
  ).pipe(Effect.mapError(() => new InvalidOperation({ operationId: text })))
}
