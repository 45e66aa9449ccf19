/** Between the SDK's types and Velero's messages: the parts that several kinds share. */
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type {
  OperationProgress,
  ResourceIdentifier as ResourceIdentifierMessage,
  ResourceSelector as ResourceSelectorMessage
} from "../../generated/velero/shared.ts"
import type { Timestamp } from "../../generated/google/protobuf/timestamp.ts"
import { Backup } from "../Backup.ts"
import * as Item from "../Item.ts"
import type { Progress } from "../Operation.ts"
import type { ResourceIdentifier, ResourceSelector } from "../Resources.ts"
import { Restore } from "../Restore.ts"

export const selectorMessage = (selector: ResourceSelector): ResourceSelectorMessage => ({
  includedNamespaces: [...(selector.includedNamespaces ?? [])],
  excludedNamespaces: [...(selector.excludedNamespaces ?? [])],
  includedResources: [...(selector.includedResources ?? [])],
  excludedResources: [...(selector.excludedResources ?? [])],
  selector: selector.labelSelector ?? ""
})

export const identifierMessages = (
  identifiers: ReadonlyArray<ResourceIdentifier> | undefined
): Array<ResourceIdentifierMessage> => (identifiers ?? []).map((identifier) => ({ ...identifier }))

const timestamp = (time: DateTime.Utc | undefined): Timestamp => {
  const millis = time === undefined ? 0 : DateTime.toEpochMillis(time)
  return { seconds: BigInt(Math.floor(millis / 1000)), nanos: (((millis % 1000) + 1000) % 1000) * 1_000_000 }
}

/** Velero takes a missing time for 1970 too; its documentation asks for exactly that where none is known. */
export const progressMessage = (progress: Progress): OperationProgress => ({
  completed: progress.completed,
  err: progress.error ?? "",
  nCompleted: progress.done ?? 0n,
  nTotal: progress.total ?? 0n,
  operationUnits: progress.units ?? "",
  description: progress.description ?? "",
  started: timestamp(progress.started),
  updated: timestamp(progress.updated)
})

/** The Backup or Restore that came with a call is not one. */
export class MalformedOwner extends Data.TaggedError("MalformedOwner")<{
  readonly kind: string
  readonly detail: string
}> {
  override get message() {
    return `the Velero ${this.kind} that came with the call cannot be read: ${this.detail}`
  }
}

/** Every call of a backup carries the same Backup: it is decoded anew only when its bytes change. */
const decodeOwner = <A>(kind: string, schema: Schema.ConstraintDecoder<A>) => {
  const decode = Schema.decodeUnknownResult(schema)
  const read = (bytes: Uint8Array): Result.Result<A, MalformedOwner> =>
    Result.mapError(
      Result.flatMap(Item.parse(bytes), ({ tree }) => decode(tree)),
      (error) => new MalformedOwner({ kind, detail: error.message.replace(/\s*\n\s*/g, " ") })
    )
  let last: { readonly bytes: Uint8Array; readonly result: Result.Result<A, MalformedOwner> } | undefined
  return (bytes: Uint8Array): Effect.Effect<A, MalformedOwner> =>
    Effect.suspend(() => {
      if (last === undefined || Buffer.compare(last.bytes, bytes) !== 0) {
        // A copy: the bytes are a view of a message that would otherwise stay in memory.
        last = { bytes: Uint8Array.from(bytes), result: read(bytes) }
      }
      return Effect.fromResult(last.result)
    })
}

export const decodeBackup = decodeOwner("Backup", Backup)
export const decodeRestore = decodeOwner("Restore", Restore)

/** Log lines of a call tell which plugin speaks, and what for; the steps of an action do so themselves. */
export const speakingAs =
  (method: string) =>
  <A, E, R>(call: Effect.Effect<A, E, R>, { plugin }: { readonly plugin: string }): Effect.Effect<A, E, R> =>
    Effect.annotateLogs(call, { logSource: `${plugin}:${method}` })
