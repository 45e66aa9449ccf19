/**
 * The one table from what ended a call to the gRPC status that its host sees.
 *
 * | the pipeline | status | text |
 * | --- | --- | --- |
 * | failed with a typed error | Unknown (2), as Velero's own plugins answer | the error's message, and its stack as a detail |
 * | died of a defect | Aborted (10), as Velero's SDK answers a panic | neutral; the cause goes to the log |
 * | was interrupted (the host cancelled) | Cancelled (1) | |
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/framework/common/server_errors.go
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/framework/common/handle_panic.go
 */
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import { Status as StatusMessage } from "../generated/google-rpc/status.ts"
import type { Any } from "../generated/google/protobuf/any.ts"

/** Numbers of `google.rpc.Code` that a plugin answers with. */
export const code = { cancelled: 1, unknown: 2, aborted: 10 } as const

/** What a call is answered with; `details` is a serialized `google.rpc.Status` with the same code and text. */
export interface Status {
  readonly code: number
  readonly message: string
  readonly details: Uint8Array
}

/** Errors of pipelines carry a sentence for people. */
export interface Failure {
  readonly _tag: string
  readonly message: string
}

export const defectMessage = "plugin panicked: an internal error of the plugin; its log has the cause. Please report it"

/** Trailers travel as HTTP/2 headers, which hosts bound. */
const maximumMessageBytes = 4 * 1024

const cut = (message: string): string =>
  Buffer.byteLength(message) <= maximumMessageBytes
    ? message
    : `${Buffer.from(message).subarray(0, maximumMessageBytes).toString("utf8")} …`

/** What the application adds to a status, such as a stack trace: messages packed into `google.protobuf.Any`. */
export type Details = (error: unknown) => ReadonlyArray<Any>

const make = (statusCode: number, message: string, details: ReadonlyArray<Any>): Status => {
  // Half a surrogate pair, which an item's JSON may hold, would make gRPC lose the whole status.
  const text = cut(message.toWellFormed())
  return {
    code: statusCode,
    message: text,
    details: StatusMessage.encode({ code: statusCode, message: text, details: [...details] }).finish()
  }
}

/** The status of a cause. Of several reasons a typed failure speaks first, then a defect. */
export const fromCause = (cause: Cause.Cause<Failure>, details: Details): Status => {
  const failure = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (failure !== undefined) return make(code.unknown, failure.message, details(failure))
  if (Cause.hasInterruptsOnly(cause)) return make(code.cancelled, "the call was cancelled", [])
  return make(code.aborted, defectMessage, details(Cause.squash(cause)))
}
