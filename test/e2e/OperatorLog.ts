/** What the operator complains of: its log, and the events that it leaves on objects. */
import * as Effect from "effect/Effect"
import * as Objects from "./Objects.ts"
import { Stand } from "./Stand.ts"

interface Line {
  readonly level?: string
  readonly msg?: string
  readonly error?: string
  readonly controllerKind?: string
  readonly namespace?: string
}

const parsed = (text: string): Line => {
  try {
    return JSON.parse(text) as Line
  } catch {
    return {}
  }
}

/** An optimistic update that met another one, which is tried again: every controller logs such. */
const isConflict = (text: string): boolean => text.includes("the object has been modified")

/** How much the operator has logged: where to read on. */
export const mark = Effect.flatMap(Stand, ({ operatorLog }) => Effect.map(operatorLog, (text) => text.length))

/** The errors that the operator has logged since a mark while it worked on a kind in a namespace. */
export const errorsSince = Effect.fn("OperatorLog.errorsSince")(function* (
  from: number,
  kind: string,
  namespace: string
) {
  const { operatorLog } = yield* Stand
  return (yield* operatorLog)
    .slice(from)
    .split("\n")
    .flatMap((text) => {
      const line = parsed(text)
      const isOne = line.level === "error" && line.controllerKind === kind && line.namespace === namespace
      return isOne && !isConflict(text) ? [`${line.msg ?? ""}: ${line.error ?? ""}`] : []
    })
})

/** The warnings in the events of an object. */
export const warningsOn = Effect.fn("OperatorLog.warningsOn")(function* (namespace: string, uid: string) {
  const { api } = yield* Stand
  return (yield* api.list(Objects.events, namespace)).flatMap(({ involvedObject, message, reason, type }) =>
    involvedObject.uid === uid && type === "Warning" ? [`${reason ?? ""}: ${message ?? ""}`] : []
  )
})
