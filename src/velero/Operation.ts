/**
 * Asynchronous operations: what an action started and Velero polls until it is done.
 *
 * Velero asks from a *new process* every ten seconds, so everything that an answer needs must follow from the operation's id
 * and the Backup or Restore.
 *
 * @module
 */
import * as Data from "effect/Data"
import type * as DateTime from "effect/DateTime"

/** How far an operation is. `error` on a completed one makes it fail. */
export interface Progress {
  readonly completed: boolean
  readonly error?: string
  /** Done and total, in `units`. */
  readonly done?: bigint
  readonly total?: bigint
  readonly units?: string
  /** For people: it shows in `velero backup describe`. */
  readonly description?: string
  readonly started?: DateTime.Utc
  readonly updated?: DateTime.Utc
}

/**
 * The id names no operation of this action; the words that Velero's documentation asks for.
 *
 * @example
 * ```ts
 * import { InvalidOperation } from "velero-plugin-cnpg/velero/Operation"
 *
 * new InvalidOperation({ operationId: "copy-1" }).message // => "operation ID copy-1 is invalid"
 * ```
 */
export class InvalidOperation extends Data.TaggedError("InvalidOperation")<{ readonly operationId: string }> {
  override get message() {
    return `operation ID ${this.operationId} is invalid`
  }
}
