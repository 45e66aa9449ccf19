/**
 * Stack traces as Velero's servers send them: a `generated.Stack` among the details of a status. Velero logs the first frame
 * as `error.file` and `error.function`.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/framework/common/server_errors.go
 */
import type { Details } from "../../go-plugin/Status.ts"
import { Stack, type StackFrame } from "../../generated/velero/shared.ts"

/** Trailers travel as HTTP/2 headers, which hosts bound. */
const maximumFrames = 16

/** `at name (file:12:3)` or `at file:12:3`, as JavaScript engines print frames. */
const framePattern = /^\s*at (?:(?:async )?(.*?) \()?(.*?):(\d+)(?::\d+)?\)?$/

/** Frames of an error's stack, innermost first; Velero logs the first one. */
export const stackFrames = (error: unknown): ReadonlyArray<StackFrame> => {
  const stack = error instanceof Error ? error.stack : undefined
  return (stack ?? "")
    .split("\n")
    .flatMap((line) => {
      const match = framePattern.exec(line)
      return match === null
        ? []
        : [{ file: match[2] ?? "", line: Number(match[3]), function: match[1] ?? "<anonymous>" }]
    })
    .slice(0, maximumFrames)
}

/** The detail of an error, none where it has no stack. */
export const details: Details = (error) => {
  const frames = stackFrames(error)
  return frames.length === 0
    ? []
    : [{ typeUrl: "type.googleapis.com/generated.Stack", value: Stack.encode({ frames: [...frames] }).finish() }]
}
