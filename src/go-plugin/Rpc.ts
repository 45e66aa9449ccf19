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

/** Sends one message of a stream; waits while the client takes its time. */
export type Write<Response> = (response: Response) => Effect.Effect<void>

type RequestOf<Request, Streams> = Streams extends true ? AsyncIterable<Request> : Request

/**
 * A method as an effect. A stream of requests is an iterable that is read at the handler's pace; a stream of responses is
 * written, and is open for as long as the effect runs.
 */
export type Handler<Method, R> = Method extends {
  readonly requestType: Codec<infer Request>
  readonly requestStream: infer Requests
  readonly responseType: Codec<infer Response>
  readonly responseStream: infer Responses
}
  ? Responses extends true
    ? (request: RequestOf<Request, Requests>, write: Write<Response>) => Effect.Effect<void, Failure, R>
    : (request: RequestOf<Request, Requests>) => Effect.Effect<Response, Failure, R>
  : never

/** One handler for each method of a service. */
export type Handlers<Definition extends ServiceDefinition, R> = {
  readonly [Name in keyof Definition["methods"]]: Handler<Definition["methods"][Name], R>
}

/** A service ready to be served. */
export interface Service<R> {
  readonly definition: ServiceDefinition
  readonly handlers: Readonly<
    Record<string, (request: unknown, write: Write<unknown>) => Effect.Effect<unknown, Failure, R>>
  >
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

type Reading = grpc.ServerReadableStream<unknown, unknown> | grpc.ServerDuplexStream<unknown, unknown>
type Writing = grpc.ServerWritableStream<unknown, unknown> | grpc.ServerDuplexStream<unknown, unknown>

/** The messages of a call. */
interface Requests extends AsyncIterable<unknown> {
  /** Lets go of the stream, which nobody else can read before. */
  readonly release: () => Promise<unknown>
}

/**
 * The messages of a call; a handler that stops reading leaves the rest to `drain`. A client that is gone looks at first like
 * one that has sent everything: the iteration then fails, lest a handler take half of something for the whole.
 */
const requestsOf = (call: Reading): Requests => {
  const messages = call.iterator({ destroyOnReturn: false })
  const next = async (): Promise<IteratorResult<unknown>> => {
    const message = await messages.next()
    if (message.done !== true) return message
    // The end comes first, and what brought it about in the same turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve))
    if (call.cancelled) throw new Error("the client is gone")
    return message
  }
  return {
    [Symbol.asyncIterator]: () => ({ next, return: () => messages.return?.() ?? Promise.resolve(done) }),
    release: () => messages.return?.() ?? Promise.resolve()
  }
}

const done: IteratorResult<unknown> = { done: true, value: undefined }

/**
 * Reads and drops what is left of a client's stream. Velero's client, told of an error while it is still sending, reports
 * `EOF` and loses the message.
 */
const drain = (call: Reading, requests: Requests): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const isOver = () => call.readableEnded || call.cancelled || call.destroyed
    const finish = () => resume(Effect.void)
    if (isOver()) return finish()
    call.once("end", finish).once("cancelled", finish).once("close", finish)
    // An iterator that was begun and not finished would keep the stream from flowing.
    requests.release().then(
      () => (isOver() ? finish() : call.resume()),
      () => finish()
    )
  })

/** Waits where the client has not taken the messages before. */
const writeTo =
  (call: Writing): Write<unknown> =>
  (message) =>
    Effect.callback((resume) => {
      if (call.write(message)) return resume(Effect.void)
      const done = () => resume(Effect.void)
      call.once("drain", done)
      return Effect.sync(() => call.off("drain", done))
    })

/** Nobody waits for the messages of a unary answer. */
const noWrite: Write<unknown> = () => Effect.void

/** Every kind of gRPC call says so when its client gave up. */
interface Cancellable {
  readonly on: (event: "cancelled", listener: () => void) => unknown
}

/** What a method streams, by grpc-js' words. */
type Shape = "unary" | "clientStream" | "serverStream" | "bidi"

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
      const types = grpcMethod(definition.fullName, method)
      const run = (
        call: Cancellable,
        effect: () => Effect.Effect<unknown, Failure, R>,
        done: (exit: Exit.Exit<unknown, Failure>) => void
      ) => {
        // `suspend` turns an exception of the handler itself into a defect of its call.
        const reported = Effect.suspend(effect).pipe(
          Effect.tapCause((cause) =>
            Cause.hasDies(cause)
              ? Effect.logError(`internal error in ${definition.fullName}/${method.name}`, cause)
              : Effect.void
          )
        )
        const interrupt = runtime.runCallback(reported, { onExit: done })
        call.on("cancelled", () => interrupt())
      }
      /** Answers once. */
      const answer =
        (callback: grpc.sendUnaryData<unknown>) =>
        (exit: Exit.Exit<unknown, Failure>): void =>
          Exit.isSuccess(exit) ? callback(null, exit.value) : callback(grpcError(Status.fromCause(exit.cause, details)))
      /** Ends a stream of answers. */
      const end = (call: Writing) => (exit: Exit.Exit<unknown, Failure>) => {
        if (Exit.isSuccess(exit)) call.end()
        else call.emit("error", grpcError(Status.fromCause(exit.cause, details)))
      }
      const implementations: Record<Shape, grpc.UntypedHandleCall> = {
        unary: (call: grpc.ServerUnaryCall<unknown, unknown>, callback: grpc.sendUnaryData<unknown>) =>
          run(call, () => handler(call.request, noWrite), answer(callback)),
        clientStream: (call: grpc.ServerReadableStream<unknown, unknown>, callback: grpc.sendUnaryData<unknown>) =>
          run(
            call,
            () => {
              const requests = requestsOf(call)
              return Effect.ensuring(
                Effect.suspend(() => handler(requests, noWrite)),
                drain(call, requests)
              )
            },
            answer(callback)
          ),
        serverStream: (call: grpc.ServerWritableStream<unknown, unknown>) =>
          run(call, () => handler(call.request, writeTo(call)), end(call)),
        bidi: (call: grpc.ServerDuplexStream<unknown, unknown>) =>
          run(call, () => handler(requestsOf(call), writeTo(call)), end(call))
      }
      const shape: Shape = method.requestStream
        ? method.responseStream
          ? "bidi"
          : "clientStream"
        : method.responseStream
          ? "serverStream"
          : "unary"
      server.register(types.path, implementations[shape], types.responseSerialize, types.requestDeserialize, shape)
    }
  }
