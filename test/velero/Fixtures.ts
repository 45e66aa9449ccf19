/** What tests of actions share: a log to look at, items, and services that say no. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Log from "../../src/go-plugin/Log.ts"
import type * as Rpc from "../../src/go-plugin/Rpc.ts"
import type { Failure } from "../../src/go-plugin/Status.ts"
import type { JsonObject } from "../../src/velero/Json.ts"
import * as PluginConfig from "../../src/velero/PluginConfig.ts"

/** A line as the host reads it. */
export type LogLine = Readonly<Record<string, string>>

/** A log, and the lines that were written to it. */
export const makeLog = (): { readonly lines: ReadonlyArray<LogLine>; readonly layer: Layer.Layer<never> } => {
  const lines: Array<LogLine> = []
  return { lines, layer: Log.layer({ write: (line) => lines.push(JSON.parse(line) as LogLine), level: "Debug" }) }
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
export const jsonBytes = (object: JsonObject): Uint8Array => bytesOf(JSON.stringify(object))

/** Spelled as nothing would print it again. */
export const podText =
  ' {"kind":"Pod", "apiVersion":"v1","metadata":{"namespace":"shop","name":"web"},"spec":{"\\u0061":1.0}}\n'

/** For actions that have no configuration: whoever looks for one dies. */
export const noConfig: Layer.Layer<PluginConfig.PluginConfig> = Layer.succeed(PluginConfig.PluginConfig, {
  namespace: "velero",
  find: () => Effect.die("an action without configuration looks for none")
})

/** Calls a service's handler as the server would, without the wire. */
export const invoke = <R, Request, Response>(
  services: ReadonlyArray<Rpc.Service<R>>,
  { fullName }: { readonly fullName: string },
  method: Rpc.MethodDefinition<Request, Response>,
  request: NoInfer<Request>
): Effect.Effect<Response, Failure, R> =>
  Effect.suspend(() => {
    const { definition, handlers } = services.find((service) => service.definition.fullName === fullName) ?? {}
    const [name = ""] = Object.entries(definition?.methods ?? {}).find(([, known]) => known === method) ?? []
    const answer = handlers?.[name]?.(request, () => Effect.void) ?? Effect.die(`${fullName} has no ${method.name}`)
    // What the definition says of the method; that it can be serialized is the least that has to hold.
    return Effect.tap(answer as Effect.Effect<Response, Failure, R>, (response) =>
      Effect.sync(() => method.responseType.encode(response).finish())
    )
  })
