/**
 * The border between gRPC and Effect: service definitions made from `proto/` on one side, handlers that are effects on the
 * other. Each call runs as a fiber of its own; a cancelled call interrupts it; what a fiber ends with becomes a status by the
 * one table in `Status.ts`.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cause from "effect/Cause"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import * as Call from "../grpc/Call.ts"
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

/** Sends messages of a stream; waits while the client takes its time. */
export type Write<Response> = (responses: ReadonlyArray<Response>) => Effect.Effect<void>

type RequestOf<Request, Streams> = Streams extends true ? AsyncIterable<ReadonlyArray<Request>> : Request

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

/** `/package.Service/Method`. */
export const pathOf = (serviceName: string, { name }: { readonly name: string }): string => `/${serviceName}/${name}`

/** Bytes of messages that wait for a handler before their client has to. */
const queueBytes = 256 * 1024

/** The messages of a client's stream, between the socket and the handler that reads them. */
interface Queue<Request> extends AsyncIterable<ReadonlyArray<Request>> {
  readonly push: (message: Request, bytes: number) => void
  readonly end: () => void
  readonly cancel: () => void
  readonly isFull: () => boolean
  /** Drops what comes, and resolves when the client is done or gone. */
  readonly drain: () => Promise<void>
}

/**
 * A handler that stops reading leaves the rest to `drain`. A client that is gone looks at first like one that has sent everything: the
 * iteration then fails, lest a handler take half of something for the whole.
 */
const makeQueue = <Request>(resume: () => void): Queue<Request> => {
  let waiting: Array<Request> = []
  let bytes = 0
  const client: { state: "open" | "ended" | "gone" } = { state: "open" }
  let isDropping = false
  let wake = () => {}
  const change = () => new Promise<void>((resolve) => (wake = resolve))

  const next = async (): Promise<IteratorResult<ReadonlyArray<Request>>> => {
    while (waiting.length === 0 && client.state === "open") await change()
    if (client.state === "gone") throw new Error("the client is gone")
    if (waiting.length === 0) return { done: true, value: undefined }
    const value = waiting
    waiting = []
    bytes = 0
    resume()
    return { done: false, value }
  }
  const iterator = { next, return: () => Promise.resolve({ done: true, value: undefined } as const) }
  return {
    [Symbol.asyncIterator]: () => iterator,
    push: (message, size) => {
      if (isDropping) return
      waiting.push(message)
      bytes += size
      wake()
    },
    end: () => {
      client.state = "ended"
      wake()
    },
    cancel: () => {
      client.state = "gone"
      waiting = []
      wake()
    },
    isFull: () => !isDropping && bytes >= queueBytes,
    drain: async () => {
      isDropping = true
      waiting = []
      resume()
      while (client.state === "open") await change()
    }
  }
}

/** Waits where the client has not taken the messages before. */
const writeTo =
  <Response>(call: Call.Call, codec: Codec<Response>): Write<Response> =>
  (messages) =>
    Effect.suspend(() => {
      const isTaken = call.write(...messages.map((message) => codec.encode(message).finish()))
      return isTaken ? Effect.void : Effect.callback((resume) => call.onceWritable(() => resume(Effect.void)))
    })

/** Nobody waits for the messages of a unary answer. */
const noWrite: Write<unknown> = () => Effect.void

/** A service, for a server. */
export interface Installation {
  /** The service's full name. */
  readonly service: string
  /** The handler of a method, by its name. */
  readonly find: (method: string) => Call.Handle | undefined
}

/** A service whose calls run in `runtime`, which builds its layers at the first of them. */
export const install = <R>(
  { definition, handlers }: Service<R>,
  runtime: ManagedRuntime.ManagedRuntime<R, never>,
  details: Details
): Installation => {
  const handleOf = (method: AnyMethod, handler: Service<R>["handlers"][string]): Call.Handle => {
    const reported = (effect: () => Effect.Effect<unknown, Failure, R>) =>
      // `suspend` turns an exception of the handler itself into a defect of its call.
      Effect.suspend(effect).pipe(
        Effect.tapCause((cause) =>
          Cause.hasDies(cause)
            ? Effect.logError(`internal error in ${definition.fullName}/${method.name}`, cause)
            : Effect.void
        )
      )
    /** Ends the call as its fiber ends, with one message where the answer is no stream. */
    const answer =
      (call: Call.Call) =>
      (exit: Exit.Exit<unknown, Failure>): void => {
        if (Exit.isFailure(exit)) return call.end(Status.fromCause(exit.cause, details))
        if (method.responseStream) call.end({ code: Call.code.ok, message: "" })
        else call.answer(method.responseType.encode(exit.value).finish())
      }
    const writerOf = (call: Call.Call) => (method.responseStream ? writeTo(call, method.responseType) : noWrite)

    const single: Call.Handle = (call) => {
      let request: { readonly message: unknown } | undefined
      let interrupt = () => {}
      return {
        message: (bytes) => {
          request = { message: method.requestType.decode(bytes) }
        },
        isFull: () => false,
        end: () => {
          if (request === undefined) return call.end({ code: Call.code.internal, message: "the call has no message" })
          const { message } = request
          request = undefined
          interrupt = runtime.runCallback(
            reported(() => handler(message, writerOf(call))),
            { onExit: answer(call) }
          )
        },
        cancel: () => interrupt()
      }
    }

    const streamed: Call.Handle = (call) => {
      const queue = makeQueue<unknown>(call.resume)
      // Velero's client, told of an error while it is still sending, reports `EOF` and loses the message.
      const drain = method.responseStream ? Effect.void : Effect.promise(queue.drain)
      const interrupt = runtime.runCallback(
        Effect.ensuring(
          reported(() => handler(queue, writerOf(call))),
          drain
        ),
        { onExit: answer(call) }
      )
      return {
        message: (bytes) => queue.push(method.requestType.decode(bytes), bytes.length),
        isFull: queue.isFull,
        end: queue.end,
        cancel: () => {
          queue.cancel()
          interrupt()
        }
      }
    }
    return method.requestStream ? streamed : single
  }
  const handles = new Map(
    Object.entries(definition.methods).flatMap(([name, method]) => {
      const handler = handlers[name]
      return handler === undefined ? [] : [[method.name, handleOf(method, handler)] as const]
    })
  )
  return { service: definition.fullName, find: (method) => handles.get(method) }
}

/** A service that is loaded at its first call. One that cannot be loaded fails that call, and is tried again at the next. */
export const lazily = (service: string, load: () => Promise<Installation>): Installation => {
  let loaded: Installation | undefined
  return {
    service,
    find: (method) =>
      loaded === undefined
        ? Call.deferred(async () => {
            loaded ??= await load()
            return loaded.find(method)
          })
        : loaded.find(method)
  }
}

/** Finds handlers by path among services. */
export const finder = (installations: ReadonlyArray<Installation>): Call.Find => {
  const services = new Map(installations.map((installation) => [installation.service, installation]))
  return (path) => {
    const [, service = "", method = ""] = path.split("/")
    return services.get(service)?.find(method)
  }
}
