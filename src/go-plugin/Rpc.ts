/**
 * The border between gRPC and Effect: service definitions made from `proto/` on one side, handlers that are effects on the
 * other. Each call runs as a fiber of its own; a cancelled call interrupts it; what a fiber ends with becomes a status by the
 * one table in `Status.ts`.
 */
import * as grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cause from "effect/Cause"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import type { Details, Failure } from "./Status.ts"
import * as Status from "./Status.ts"

/** What ts-proto generates for a message. */
export interface Codec<T> {
  readonly encode: (message: T) => { readonly finish: () => Uint8Array }
  readonly decode: (bytes: Uint8Array) => T
}

/** What ts-proto generates for a method (`outputServices=generic-definitions`). */
export interface MethodDefinition<Request, Response> {
  readonly name: string
  readonly requestType: Codec<Request>
  readonly requestStream: boolean
  readonly responseType: Codec<Response>
  readonly responseStream: boolean
}

// `any` is the only type argument that every method of a definition is assignable to: codecs are invariant.
// oxlint-disable-next-line typescript/no-explicit-any
type AnyMethod = MethodDefinition<any, any>

/** What ts-proto generates for a service. */
export interface ServiceDefinition {
  readonly fullName: string
  readonly methods: Readonly<Record<string, AnyMethod>>
}

/** A unary method is an effect; a streaming one holds its stream open for as long as its effect runs. */
export type Handler<Method, R> = Method extends {
  readonly requestType: Codec<infer Request>
  readonly responseType: Codec<infer Response>
  readonly responseStream: infer Streams
}
  ? Streams extends true
    ? () => Effect.Effect<void, Failure, R>
    : (request: Request) => Effect.Effect<Response, Failure, R>
  : never

/** One handler for each method of a service. */
export type Handlers<Definition extends ServiceDefinition, R> = {
  readonly [Name in keyof Definition["methods"]]: Handler<Definition["methods"][Name], R>
}

/** A service ready to be served. */
export interface Service<R> {
  readonly definition: ServiceDefinition
  readonly handlers: Readonly<Record<string, (request: unknown) => Effect.Effect<unknown, Failure, R>>>
}

/** Checks handlers against their definition, then forgets the types that only the checker needs. */
export const service = <Definition extends ServiceDefinition, R>(
  definition: Definition,
  handlers: Handlers<Definition, R>
): Service<R> => ({ definition, handlers: handlers as unknown as Service<R>["handlers"] })

/** `/package.Service/Method`, and how bytes become messages. */
export const grpcMethod = <Request, Response>(
  serviceName: string,
  method: MethodDefinition<Request, Response>
): grpc.MethodDefinition<Request, Response> => ({
  path: `/${serviceName}/${method.name}`,
  requestStream: method.requestStream,
  responseStream: method.responseStream,
  requestSerialize: (message) => asBuffer(method.requestType.encode(message).finish()),
  requestDeserialize: (bytes) => method.requestType.decode(bytes),
  responseSerialize: (message) => asBuffer(method.responseType.encode(message).finish()),
  responseDeserialize: (bytes) => method.responseType.decode(bytes)
})

const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const grpcError = (status: Status.Status): grpc.ServiceError => {
  const metadata = new grpc.Metadata()
  metadata.set("grpc-status-details-bin", asBuffer(status.details))
  return Object.assign(new Error(status.message), { code: status.code, details: status.message, metadata })
}

/** Every kind of gRPC call says so when its client gave up. */
interface Cancellable {
  readonly on: (event: "cancelled", listener: () => void) => unknown
}

/** Adds a service to a server. */
export type Installation = (server: grpc.Server) => void

/** A service whose calls run in `runtime`, which builds its layers at the first of them. */
export const install =
  <R>(
    { definition, handlers }: Service<R>,
    runtime: ManagedRuntime.ManagedRuntime<R, never>,
    details: Details
  ): Installation =>
  (server) => {
    for (const [name, method] of Object.entries(definition.methods)) {
      const handler = handlers[name]
      if (handler === undefined) continue
      const run = (call: Cancellable, request: unknown, done: (exit: Exit.Exit<unknown, Failure>) => void) => {
        // `suspend` turns an exception of the handler itself into a defect of its call.
        const effect = Effect.suspend(() => handler(request)).pipe(
          Effect.tapCause((cause) =>
            Cause.hasDies(cause)
              ? Effect.logError(`internal error in ${definition.fullName}/${method.name}`, cause)
              : Effect.void
          )
        )
        const interrupt = runtime.runCallback(effect, { onExit: done })
        call.on("cancelled", () => interrupt())
      }
      const types = grpcMethod(definition.fullName, method)
      if (method.responseStream) {
        const open = (
          call: grpc.ServerWritableStream<unknown, unknown> | grpc.ServerDuplexStream<unknown, unknown>
        ) => {
          if (method.requestStream) (call as grpc.ServerDuplexStream<unknown, unknown>).resume()
          run(call, undefined, (exit) => {
            if (Exit.isSuccess(exit)) call.end()
            else call.emit("error", grpcError(Status.fromCause(exit.cause, details)))
          })
        }
        server.register(
          types.path,
          open as grpc.handleServerStreamingCall<unknown, unknown>,
          types.responseSerialize,
          types.requestDeserialize,
          method.requestStream ? "bidi" : "serverStream"
        )
      } else {
        const answer: grpc.handleUnaryCall<unknown, unknown> = (call, callback) =>
          run(call, call.request, (exit) =>
            Exit.isSuccess(exit)
              ? callback(null, exit.value)
              : callback(grpcError(Status.fromCause(exit.cause, details)))
          )
        server.register(types.path, answer, types.responseSerialize, types.requestDeserialize, "unary")
      }
    }
  }
