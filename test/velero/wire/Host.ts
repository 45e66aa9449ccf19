/** An object store or snapshotter behind the real socket, and Velero's side of its streams. */
import * as Net from "node:net"
import type * as grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { CallFailed } from "../../../src/go-plugin/Client.ts"
import type * as Rpc from "../../../src/go-plugin/Rpc.ts"
import * as Memory from "../../../src/kubernetes/Memory.ts"
import type { Plugin } from "../../../src/velero/Plugin.ts"
import * as Serve from "../../../src/velero/Serve.ts"
import * as GoPlugin from "../../go-plugin/Host.ts"
import { callOn, grpcMethod } from "../../go-plugin/Host.ts"

export interface Running extends GoPlugin.Running<never> {
  readonly client: grpc.Client
  readonly call: ReturnType<typeof callOn>
  /** What the plugin logged. */
  readonly log: ReadonlyArray<string>
}

/** Serves plugins as an executable does, in this process. */
export const serve = (plugins: ReadonlyArray<Plugin<never>>): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function* () {
    const log: Array<string> = []
    const running = yield* GoPlugin.start({ VELERO_PLUGIN: "hello", PLUGIN_PROTOCOL_VERSIONS: "2" }, (host) =>
      Serve.serve(plugins, Layer.mergeAll(Memory.layer()), {
        ...host,
        command: "/plugins/test",
        args: [],
        writeLog: (line) => log.push(line)
      }).pipe(Effect.orDie)
    )
    const client = yield* GoPlugin.connect(running.address)
    return { ...running, client, call: callOn(client), log }
  })

/** Who logged, line by line. */
export const logSources = (log: ReadonlyArray<string>): ReadonlyArray<unknown> =>
  log.map((line) => (JSON.parse(line) as Readonly<Record<string, unknown>>)["logSource"])

interface Method<Request, Response> extends Rpc.MethodDefinition<Request, Response> {}

/** A way to a socket that can be cut. */
export const breakable = (
  address: string
): Effect.Effect<{ readonly address: string; readonly cut: Effect.Effect<void> }, never, Scope.Scope> =>
  Effect.gen(function* () {
    const sockets: Array<Net.Socket> = []
    const path = `${address}-way`
    const cut = Effect.sync(() => sockets.forEach((socket) => socket.destroy()))
    const server = Net.createServer((near) => {
      const far = Net.connect(address)
      sockets.push(near, far)
      for (const socket of [near, far]) socket.on("error", () => {})
      near.pipe(far)
      far.pipe(near)
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(path, () => resume(Effect.void))
      }),
      () =>
        Effect.andThen(
          cut,
          Effect.sync(() => server.close())
        )
    )
    return { address: path, cut }
  })

/** What an answer ends with, where it is an error. */
export interface Failure {
  readonly code: number
  readonly detail: string
}

const failureOf = (error: grpc.ServiceError): Failure => ({ code: error.code, detail: error.details })

/** A client's stream, written at the server's pace. */
export interface Upload<Request> {
  /** Resolves when gRPC takes more. */
  readonly write: (request: Request) => Effect.Effect<void>
  readonly finish: Effect.Effect<void>
  readonly cancel: Effect.Effect<void>
  readonly answer: Effect.Effect<"ok" | Failure>
}

export const upload = <Request, Response>(
  client: grpc.Client,
  { fullName }: { readonly fullName: string },
  method: Method<Request, Response>
): Upload<Request> => {
  const types = grpcMethod(fullName, method)
  const answered = Promise.withResolvers<"ok" | Failure>()
  const call = client.makeClientStreamRequest(types.path, types.requestSerialize, types.responseDeserialize, (error) =>
    answered.resolve(error === null ? "ok" : failureOf(error))
  )
  return {
    write: (request) =>
      Effect.callback((resume) => {
        if (call.write(request)) resume(Effect.void)
        else call.once("drain", () => resume(Effect.void))
      }),
    finish: Effect.sync(() => call.end()),
    cancel: Effect.sync(() => call.cancel()),
    answer: Effect.promise(() => answered.promise)
  }
}

/** A server's stream, read one message at a time. */
export interface Download<Response> {
  /** The next message; nothing at the end. */
  readonly next: Effect.Effect<Response | undefined, Failure>
  readonly cancel: Effect.Effect<void>
}

export const download = <Request, Response>(
  client: grpc.Client,
  { fullName }: { readonly fullName: string },
  method: Method<Request, Response>,
  request: NoInfer<Request>
): Download<Response> => {
  const types = grpcMethod(fullName, method)
  const call = client.makeServerStreamRequest(types.path, types.requestSerialize, types.responseDeserialize, request)
  // An error that nobody reads is none of the test runner's business.
  call.on("error", () => {})
  const messages = call.iterator({ destroyOnReturn: false }) as AsyncIterator<Response>
  return {
    next: Effect.tryPromise({
      try: async () => {
        const { done, value } = await messages.next()
        return done === true ? undefined : value
      },
      catch: (cause) => failureOf(cause as grpc.ServiceError)
    }),
    cancel: Effect.sync(() => call.cancel())
  }
}

/** Whatever can happen by itself has happened: so many calls went to the plugin and back over the same connection. */
export const settle = (ping: Effect.Effect<unknown, CallFailed>): Effect.Effect<void, CallFailed> =>
  Effect.forEach(Array.from({ length: 100 }), () => ping, { discard: true })
