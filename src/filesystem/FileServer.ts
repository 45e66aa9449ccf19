/**
 * `serve-files`: the server behind signed URLs, a sidecar of Velero's pod.
 *
 * It answers `GET` and `HEAD` of an object to whoever has a URL that was signed for it and has not expired, with ranges, and
 * `/healthz` to everybody. It knows nothing else: there is no listing, no way to write, and all that a refusal says is its
 * number: 403 for a signature, before anything was looked at; 404 for an object that is not there, and for every other path.
 *
 * A new key is noticed by the first URL that it has signed, an old one is forgotten within seconds.
 */
import * as Http from "node:http"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as ByteRange from "./ByteRange.ts"
import type { SystemError } from "./Errors.ts"
import * as Objects from "./Objects.ts"
import * as SignedUrl from "./SignedUrl.ts"
import type { SigningKeys, Source } from "./SigningKeys.ts"

/** The address is taken, or not of this machine. */
export class NotListening extends Data.TaggedError("NotListening")<{ readonly detail: string }> {
  override get message() {
    return `serve-files cannot listen: ${this.detail}. Choose another --port, or another --host`
  }
}

/** The client went away, or has read nothing for too long. */
class ClientGone extends Data.TaggedError("ClientGone") {}

export interface Options {
  /** The root of the location. */
  readonly root: string
  readonly keys: Source
  /** 0: any that is free. */
  readonly port: number
  /** Default: all addresses. */
  readonly host?: string | undefined
}

/** A server that listens; it ends with its scope. */
export interface FileServer {
  readonly port: number
}

export const healthPath = "/healthz"

/** A client that reads nothing for so long is gone. */
const stallTimeout = Duration.minutes(2)

/** Keys are read again after this time, and for a signature that does not fit after the other one. */
const keysAge = Duration.seconds(10)
const keysAgeOfStrangers = Duration.seconds(1)

/** An answer's number, and its headers. */
interface Answer {
  readonly status: number
  readonly headers: Http.OutgoingHttpHeaders
  readonly body?: Stream.Stream<Uint8Array, SystemError>
}

const plain = (status: number, text: string, headers: Http.OutgoingHttpHeaders = {}): Answer => ({
  status,
  headers: { ...headers, "Content-Type": "text/plain; charset=utf-8", "Content-Length": Buffer.byteLength(text) },
  body: Stream.succeed(Buffer.from(text))
})

const notFound = plain(404, "not found\n")
const forbidden = plain(403, "forbidden\n")

/** The part of an object that a request wants. */
const answerOf = (opened: Objects.Opened, { "if-range": ifRange, range }: Http.IncomingHttpHeaders): Answer => {
  const tag = `"${opened.tag}"`
  const headers = {
    "Content-Type": "application/octet-stream",
    "Accept-Ranges": "bytes",
    // The URL is a secret of whoever has it, and so is the answer.
    "Cache-Control": "private, no-store",
    "X-Content-Type-Options": "nosniff",
    "Last-Modified": new Date(opened.modifiedMillis).toUTCString(),
    ETag: tag
  }
  const part: ByteRange.Part =
    ifRange === undefined || ifRange === tag ? ByteRange.parse(range, opened.size) : { _tag: "Whole" }
  switch (part._tag) {
    case "Whole":
      return {
        status: 200,
        headers: { ...headers, "Content-Length": opened.size },
        body: Objects.read(opened, 0, opened.size)
      }
    case "Range":
      return {
        status: 206,
        headers: {
          ...headers,
          "Content-Length": part.end - part.start,
          "Content-Range": `bytes ${part.start}-${part.end - 1}/${opened.size}`
        },
        body: Objects.read(opened, part.start, part.end)
      }
    case "Unsatisfiable":
      return plain(416, "range not satisfiable\n", { "Content-Range": `bytes */${opened.size}` })
  }
}

/** Keeps the keys for a while; `maximumAge` is how old they may be. */
const cached = (source: Source) =>
  Effect.gen(function* () {
    const lock = yield* Semaphore.make(1)
    let known: { readonly at: number; readonly keys: Option.Option<SigningKeys> } | undefined
    return (maximumAge: Duration.Duration) =>
      Semaphore.withPermit(
        lock,
        Effect.gen(function* () {
          const now = yield* Clock.currentTimeMillis
          if (known === undefined || now - known.at >= Duration.toMillis(maximumAge)) {
            const keys = yield* Effect.catch(source.read, (error) =>
              Effect.as(Effect.logWarning(`no URL is accepted: ${error.message}`), Option.none())
            )
            known = { at: now, keys }
          }
          return known.keys
        })
      )
  })

/** Hands bytes to the client, and waits while it takes its time. */
const send = (response: Http.ServerResponse, bytes: Uint8Array): Effect.Effect<void, ClientGone> =>
  Effect.callback<void, ClientGone>((resume) => {
    if (response.destroyed) return resume(new ClientGone())
    if (response.write(bytes)) return resume(Effect.void)
    const stop = () => response.off("drain", drained).off("close", closed)
    const drained = () => {
      stop()
      resume(Effect.void)
    }
    const closed = () => {
      stop()
      resume(new ClientGone())
    }
    response.on("drain", drained).on("close", closed)
    return Effect.sync(stop)
  }).pipe(Effect.timeoutOrElse({ duration: stallTimeout, orElse: () => Effect.fail(new ClientGone()) }))

const end = (response: Http.ServerResponse) =>
  Effect.callback<void>((resume) => {
    response.end(() => resume(Effect.void))
    response.once("close", () => resume(Effect.void))
  }).pipe(Effect.timeoutOrElse({ duration: stallTimeout, orElse: () => Effect.void }))

const make = (options: Options) =>
  Effect.gen(function* () {
    const objects = Objects.make(options.root)
    const keysNotOlderThan = yield* cached(options.keys)

    const isAllowed = ({ grant, signature }: SignedUrl.Claim) =>
      Effect.gen(function* () {
        if ((yield* Clock.currentTimeMillis) >= grant.expires * 1000) return false
        for (const age of [keysAge, keysAgeOfStrangers]) {
          const keys = Option.match(yield* keysNotOlderThan(age), { onNone: () => [], onSome: Redacted.value })
          if (SignedUrl.isSigned(keys, grant, signature)) return true
        }
        return false
      })

    const answer = Effect.fnUntraced(function* ({
      headers,
      method = "",
      url = ""
    }: Http.IncomingMessage): Effect.fn.Return<Answer, never, Scope.Scope> {
      if (method !== "GET" && method !== "HEAD") return plain(405, "method not allowed\n", { Allow: "GET, HEAD" })
      if (url === healthPath) return plain(200, "ok\n")
      const claim = Option.getOrUndefined(SignedUrl.parse(url))
      if (claim === undefined) return notFound
      if (!(yield* isAllowed(claim))) return forbidden
      const { bucket, key } = claim.grant
      return yield* objects.open(bucket, key).pipe(
        Effect.map((opened) => answerOf(opened, headers)),
        Effect.catchTag(["NoObject", "NoBucket"], () => Effect.succeed(notFound)),
        Effect.catch((error) => Effect.as(Effect.logError(error.message), plain(500, "internal error\n")))
      )
    })

    return (request: Http.IncomingMessage, response: Http.ServerResponse): Effect.Effect<void> =>
      Effect.scoped(
        Effect.gen(function* () {
          const started = yield* Clock.currentTimeMillis
          const { body, headers, status } = yield* answer(request)
          response.writeHead(status, headers)
          let sent = 0
          if (body !== undefined && request.method !== "HEAD") {
            yield* Stream.runForEach(body, (bytes) =>
              Effect.tap(send(response, bytes), () => Effect.sync(() => (sent += bytes.length)))
            )
          }
          yield* end(response)
          if (request.url === healthPath) return
          const elapsed = (yield* Clock.currentTimeMillis) - started
          // The query has the signature, which must not be in any log.
          const path = (request.url ?? "").replace(/\?.*$/s, "")
          yield* Effect.logInfo(`${request.method} ${path} ${status}, ${sent} bytes in ${elapsed} ms`)
        })
      ).pipe(
        Effect.catch((error) =>
          Effect.logWarning(error._tag === "ClientGone" ? "a client left in the middle of a download" : error.message)
        ),
        Effect.catchCause((cause) => Effect.logError("internal error", cause)),
        // The length was promised: what ended early must not look whole.
        Effect.ensuring(Effect.sync(() => void (response.writableFinished || response.destroy())))
      )
  })

/** Listens until its scope ends. */
export const serve = (options: Options): Effect.Effect<FileServer, NotListening, Scope.Scope> =>
  Effect.gen(function* () {
    const handle = yield* make(options)
    const run = yield* FiberSet.makeRuntime()
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        Http.createServer(
          { requestTimeout: 30_000, headersTimeout: 10_000, keepAliveTimeout: 5000 },
          (request, response) => {
            // A body is not asked for, and would otherwise keep the connection busy.
            request.resume()
            run(handle(request, response))
          }
        )
      ),
      (listening) =>
        Effect.callback<void>((resume) => {
          listening.close(() => resume(Effect.void))
          listening.closeAllConnections()
        })
    )
    const port = yield* Effect.callback<number, NotListening>((resume) => {
      server.once("error", (error) => resume(new NotListening({ detail: error.message })))
      server.listen({ port: options.port, ...(options.host === undefined ? {} : { host: options.host }) }, () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : options.port))
      })
    })
    yield* Effect.logInfo(`serving signed URLs of ${options.root} on port ${port}`)
    return { port }
  })
