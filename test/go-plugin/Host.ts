/**
 * The host's side of go-plugin, for tests: starts a server inside the test, reads its handshake line and calls it over the
 * real socket.
 */
import * as grpc from "@grpc/grpc-js"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { Client } from "../../src/go-plugin/Client.ts"
import { CallFailed } from "../../src/go-plugin/Client.ts"
import type { Environment } from "../../src/go-plugin/Handshake.ts"
import * as Rpc from "../../src/go-plugin/Rpc.ts"
import type { HostProcess } from "../../src/go-plugin/Server.ts"
import { Status } from "../../src/generated/google-rpc/status.ts"
import { GRPCControllerDefinition } from "../../src/generated/go-plugin/controller.ts"

const options: grpc.ChannelOptions = {
  "grpc.max_receive_message_length": -1,
  "grpc.max_send_message_length": -1,
  // Go's host dials `unused`; the certificate of AutoMTLS is for `localhost`.
  "grpc.ssl_target_name_override": "localhost"
}

export const connect = (
  address: string,
  credentials: grpc.ChannelCredentials = grpc.credentials.createInsecure()
): Effect.Effect<grpc.Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new grpc.Client(`unix:${address}`, credentials, options)),
    (client) => Effect.sync(() => client.close())
  )

interface Definition {
  readonly fullName: string
}

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** A method for grpc-js, which is not the server's own code: `/package.Service/Method`, and how bytes become messages. */
export const grpcMethod = <Request, Response>(
  serviceName: string,
  method: Rpc.MethodDefinition<Request, Response>
): grpc.MethodDefinition<Request, Response> => ({
  path: Rpc.pathOf(serviceName, method),
  requestStream: method.requestStream,
  responseStream: method.responseStream,
  requestSerialize: (message) => asBuffer(method.requestType.encode(message).finish()),
  requestDeserialize: (bytes) => method.requestType.decode(bytes),
  responseSerialize: (message) => asBuffer(method.responseType.encode(message).finish()),
  responseDeserialize: (bytes) => method.responseType.decode(bytes)
})

/** Unary calls over a connection. */
export const callOn =
  (client: grpc.Client): Client["call"] =>
  <Request, Response>(service: string, method: Rpc.MethodDefinition<Request, Response>, request: Request) =>
    Effect.callback<Response, CallFailed>((resume) => {
      const types = grpcMethod(service, method)
      const { path, requestSerialize, responseDeserialize } = types
      const call = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, response) => {
        if (error === null && response !== undefined) return resume(Effect.succeed(response))
        const details = error?.metadata.get("grpc-status-details-bin")[0]
        resume(
          Effect.fail(
            new CallFailed({
              method: method.name,
              code: error?.code ?? grpc.status.UNKNOWN,
              detail: error?.details ?? "no answer",
              details: details instanceof Uint8Array ? details : undefined
            })
          )
        )
      })
      return Effect.sync(() => call.cancel())
    })

/** A unary call; its interruption cancels it. */
export const call = <Request, Response>(
  client: grpc.Client,
  { fullName }: Definition,
  method: Rpc.MethodDefinition<Request, Response>,
  request: NoInfer<Request>
): Effect.Effect<Response, CallFailed> => callOn(client)(fullName, method, request)

/** The `grpc-status-details-bin` of a call that failed. */
export const statusOf = ({ details }: CallFailed): Status => Status.decode(details ?? new Uint8Array())

/** Opens a stream of go-plugin's; the effect ends when the plugin ends the stream, with the number of messages. */
export const open = <Request, Response>(
  client: grpc.Client,
  { fullName }: Definition,
  method: Rpc.MethodDefinition<Request, Response>,
  request: NoInfer<Request>
): Effect.Effect<number, grpc.ServiceError> =>
  Effect.callback((resume) => {
    const { path, requestSerialize, requestStream, responseDeserialize } = grpcMethod(fullName, method)
    const stream = requestStream
      ? client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
      : client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, request)
    let count = 0
    stream.on("data", () => count++)
    stream.on("error", (error: grpc.ServiceError) => resume(Effect.fail(error)))
    stream.on("end", () => resume(Effect.succeed(count)))
    return Effect.sync(() => stream.cancel())
  })

/** A directory of the test's own. */
export const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "host-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true }))
)

/** A plugin that runs in the test. */
export interface Running<E> {
  /** What was written to the host: the handshake line. */
  readonly written: ReadonlyArray<string>
  /** Whether the socket was there when the line was written. */
  readonly wasListening: boolean
  /** Fields of the handshake line. */
  readonly fields: ReadonlyArray<string>
  readonly address: string
  /** The server's own end. */
  readonly end: Effect.Effect<void, E>
  /** What a signal does. */
  readonly terminate: Effect.Effect<unknown>
}

/** Starts a plugin and waits for its handshake line, or for the error that it ended with. */
export const start = <E>(
  env: Environment,
  serve: (host: HostProcess) => Effect.Effect<void, E>
): Effect.Effect<Running<E>, E, Scope.Scope> =>
  Effect.gen(function* () {
    const TMPDIR = yield* directory
    const terminated = yield* Deferred.make<void>()
    const announced = yield* Deferred.make<void>()
    const written: Array<string> = []
    let wasListening = false
    const host: HostProcess = {
      env: { TMPDIR, ...env },
      writeHandshake: (line) => {
        written.push(line)
        wasListening = Fs.existsSync(line.split("|")[3] ?? "")
        Deferred.doneUnsafe(announced, Effect.void)
      },
      terminated: Deferred.await(terminated)
    }
    const fiber = yield* Effect.forkScoped(serve(host))
    const end = Fiber.join(fiber)
    yield* Effect.raceFirst(Deferred.await(announced), Effect.andThen(end, Effect.die("it ended without a handshake")))
    const fields = written.join("").trimEnd().split("|")
    const terminate = Deferred.succeed(terminated, undefined)
    return { written, wasListening, fields, address: fields[3] ?? "", end, terminate }
  })

export const shutdown = (client: grpc.Client): Effect.Effect<object, CallFailed> =>
  call(client, GRPCControllerDefinition, GRPCControllerDefinition.methods.shutdown, {})
