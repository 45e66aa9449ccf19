/**
 * A Kubernetes API server in this process: real sockets on 127.0.0.1, objects in memory, gone with its scope.
 *
 * It speaks enough of the API for a client to be tested against it, failures included, and for `preview` to show what
 * plugins would do to a cluster: discovery, bearer tokens, GET, LIST in pages and with selectors, create, update, merge
 * patch, server-side apply with field ownership, delete, and the `Status` objects that kube-apiserver answers failures with.
 *
 * **When to use**: in tests of code that talks to Kubernetes, where status codes, retries, paging, ownership of fields or
 * connections matter. For code that only needs objects, the memory layer of `kubernetes/` is enough and quicker.
 *
 * **Gotchas**
 *
 * - Time is the `Clock` of the effect that makes the server: under `TestClock` objects are made in 1970, and a fault with
 *   `delayMs` waits until the test moves the clock.
 * - As on a real server, items of a list of built-in kinds come without `kind` and `apiVersion`; those of custom resources
 *   have them. A path in an unknown API group is answered with the text `404 page not found`, not with a Status.
 * - An object that was `put` without `managedFields` belongs to the manager `before-first-apply` as soon as somebody
 *   applies to it, so that applying another value without `force` is a conflict. That, too, is what a real server does.
 * - `put` adds the namespace of its object; requests do not, unless `createNamespaces` says so.
 * - uids, generated names and resourceVersions are counted, not random: the same requests give the same objects.
 *
 * **Limits.** Against a real API server this one has
 *
 * - no schemas: no validation, defaulting, pruning or conversion between versions; nothing is dropped on the way in,
 *   `status` included. Names are not checked, except that there is one;
 * - no subresources (`/status`, `/scale`, `/log`, …), no WATCH, no deletecollection, no JSON patch and no strategic merge
 *   patch (415), no protobuf, no YAML but the part of it that is JSON, no tables, no compression, no OpenAPI, no short
 *   names. So kubectl gets, lists, applies (`--server-side --validate=false`), patches (`--type=merge`), labels and deletes
 *   with `kubeconfig`, while `kubectl create namespace`, which speaks protobuf, does not work;
 * - in server-side apply only atomic lists: an applied list replaces the whole list, where a real one merges containers by
 *   name, finalizers as a set, and so on. Type changes of a field count as conflicts;
 * - field selectors for `metadata.name` and `metadata.namespace` only;
 * - no `resourceVersion` on GET and LIST (always the newest, but for pages), and continued lists for the last 100 revisions
 *   that somebody paged through;
 * - no controllers: no garbage collection by ownerReferences, no graceful deletion (finalizers are honoured), and a
 *   namespace goes at once with all that is in it;
 * - one user, `system:serviceaccount:velero:velero`, for every token, and no admission but that of namespaces.
 *
 * Where one of these matters, test against a real API server (`envtest`, kind).
 *
 * @module
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import * as Answers from "./api-server/Answer.ts"
import type { Resource } from "./api-server/Resources.ts"
import * as Resources from "./api-server/Resources.ts"
import type { Attributes } from "./api-server/Routes.ts"
import * as Routes from "./api-server/Routes.ts"
import type { Stored } from "./api-server/Store.ts"
import * as Store from "./api-server/Store.ts"
import * as Trees from "./api-server/Tree.ts"

export type { Attributes, Resource }

/** The server could not be made. */
export class ApiServerError extends Data.TaggedError("ApiServerError")<{
  readonly reason: "certificate" | "listen" | "objects"
  readonly cause: unknown
}> {
  override get message() {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    switch (this.reason) {
      case "certificate":
        return `the in-process API server could not make its TLS certificate: ${why}`
      case "listen":
        return `the in-process API server could not listen on 127.0.0.1: ${why}`
      case "objects":
        return `the in-process API server does not accept the objects to begin with: ${why}`
    }
  }
}

/**
 * A Kubernetes object, as parsed from JSON.
 *
 * **Gotchas**: in objects that came in by a request, a number that JavaScript would print differently (`1.0`, integers
 * above 2^53) is a `JSON.rawJSON` value; `JSON.stringify` prints it as it came.
 */
export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly [field: string]: unknown
}

/** The metadata of an object, as far as the server looks at it. */
export interface ObjectMeta {
  readonly name?: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

/**
 * Something that goes wrong.
 *
 * A request meets the first fault that fits it, before authentication. `delayMs` only delays it, everything else takes the
 * place of the answer, and the request changes nothing.
 */
export interface Fault {
  /** `GET`, `PATCH`, …; default: any. */
  readonly method?: string
  /** Tried on the path without query; default: any. */
  readonly path?: RegExp
  /** How many requests it meets; default: all, until it is removed. */
  readonly times?: number
  /**
   * A Status with a code (`retryAfter` in seconds, the texts default to what Kubernetes says); or a connection that is
   * torn down without an answer, one that never answers, a 200 with JSON that breaks off; or a late answer.
   */
  readonly answer:
    | {
        readonly status: number
        readonly retryAfter?: number
        readonly reason?: string
        readonly message?: string
      }
    | "reset"
    | "hang"
    | "garbage"
    | { readonly delayMs: number }
}

/** A request that was answered, or that met `reset` or `hang`. */
export interface Request {
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** Of a parameter that is given twice, the last value. */
  readonly query: Readonly<Record<string, string>>
  /** 0: never answered. */
  readonly status: number
  /** Of the body of the answer. */
  readonly responseBytes: number
  readonly userAgent: string | undefined
}

/** A running server, and what a test does to it and asks of it. */
export interface ApiServer {
  /** `https://127.0.0.1:<port>`, without a slash at its end. */
  readonly url: string
  /** The token that is valid from the start. */
  readonly token: string
  /** PEM of the server's certificate; `undefined` without TLS. */
  readonly ca: string | undefined
  /** The text of a kubeconfig (JSON, thus YAML) with `url`, `token` and `ca`. */
  readonly kubeconfig: string
  /** One object, as the server would answer it. */
  readonly get: (resource: Resource, namespace: string | undefined, name: string) => KubernetesObject | undefined
  /** Without a namespace: of all namespaces. */
  readonly list: (resource: Resource, namespace?: string) => ReadonlyArray<KubernetesObject>
  /** All objects: by resource in the order of `builtInResources`, then by namespace and name. */
  readonly all: () => ReadonlyArray<KubernetesObject>
  /**
   * Creates or replaces an object as it is given; only `resourceVersion` is the server's, and uid, creationTimestamp and a
   * namespaced object's namespace (`default`) are added where they are missing. Of a kind that no table knows, an object
   * without namespace is cluster-scoped. Throws a `TypeError` if apiVersion, kind or name are missing.
   */
  readonly put: (object: KubernetesObject) => void
  /** Removes an object, finalizers or not; a namespace takes its contents with it. */
  readonly remove: (resource: Resource, namespace: string | undefined, name: string) => void
  /** Returns what removes the fault again. */
  readonly addFault: (fault: Fault) => () => void
  /** In the order in which they were answered. */
  readonly requests: () => ReadonlyArray<Request>
  /** Forgets the requests so far. */
  readonly clearRequests: () => void
  /** From now on these tokens and no others are valid. */
  readonly setTokens: (tokens: ReadonlyArray<string>) => void
  /** Lists that have begun cannot be continued: their next page is 410 Gone, reason Expired. */
  readonly expireContinueTokens: () => void
  /** How many are open. */
  readonly connections: () => number
}

/** How the server is to behave. */
export interface Options {
  readonly objects?: Iterable<KubernetesObject>
  /** Default: true. Without it the URL is `http://`. */
  readonly tls?: boolean
  /** In addition to `builtInResources`, which they override. */
  readonly resources?: ReadonlyArray<Resource>
  /** `false`: 403, in Kubernetes' own words. Default: everything is allowed. */
  readonly authorize?: (attributes: Attributes) => boolean
  /** Whether a create or an apply makes the namespace that it names; default: it is a 404. */
  readonly createNamespaces?: boolean
}

/** The resources that every server knows, namespaces first. */
export const builtInResources: ReadonlyArray<Resource> = Resources.builtInResources

/**
 * The resource of a kind: from `builtInResources`, or else its lower-case plural, namespaced.
 *
 * **When to use**: to name a resource as Velero and RBAC do (`clusters.postgresql.cnpg.io`) where no cluster can be asked.
 */
export const resourceOfKind = (apiVersion: string, kind: string): Resource =>
  Resources.find(builtInResources, apiVersion, kind) ?? Resources.guess(apiVersion, kind, true)

/**
 * Starts a server; closing the scope ends all connections, those of hanging requests included.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as ApiServer from "velero-plugin-cnpg/testing/ApiServer"
 *
 * const configMap = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings", namespace: "default" } }
 * const use = Effect.gen(function* () {
 *   const cluster = yield* ApiServer.make({ tls: false, objects: [configMap] })
 *   cluster.addFault({ method: "GET", times: 1, answer: { status: 503 } })
 *   const status = Effect.promise(async () => {
 *     const url = `${cluster.url}/api/v1/namespaces/default/configmaps/settings`
 *     return (await fetch(url, { headers: { authorization: `Bearer ${cluster.token}` } })).status
 *   })
 *   return [yield* status, yield* status]
 * })
 * await Effect.runPromise(Effect.scoped(use)) // => [503, 200]
 * ```
 */
export const make = Effect.fn("ApiServer.make")(function* (
  options: Options = {}
): Effect.fn.Return<ApiServer, ApiServerError, Scope.Scope> {
  const clock = yield* Clock.Clock
  const store = Store.make({
    resources: options.resources ?? [],
    createNamespaces: options.createNamespaces ?? false,
    now: () => `${DateTime.formatIso(DateTime.makeUnsafe(clock.currentTimeMillisUnsafe())).slice(0, 19)}Z`
  })
  const put = (object: KubernetesObject): void => {
    const { name, stored } = checked(object)
    const given = Trees.string(stored.metadata, "namespace")
    const resource = store.learn(object.apiVersion, object.kind, given !== undefined)
    store.put({ resource, namespace: resource.namespaced ? (given ?? "default") : undefined }, name, stored)
  }
  yield* Effect.try({
    try: () => {
      for (const object of options.objects ?? []) put(object)
    },
    catch: (cause) => new ApiServerError({ reason: "objects", cause })
  })

  const token = "in-process-api-server"
  let tokens: ReadonlySet<string> = new Set([token])
  const requests: Array<Request> = []
  const faults = makeFaults()
  const server: Routes.Server = {
    store,
    isToken: (it) => tokens.has(it),
    authorize: options.authorize ?? (() => true)
  }

  const answer = Effect.fnUntraced(function* (incoming: Routes.Incoming) {
    const fault = faults.next(incoming)
    if (fault === "hang" || fault === "reset") return fault
    if (fault === "garbage") return Answers.brokenOff
    if (fault !== undefined && "status" in fault) return Answers.genericStatus(fault.status, fault)
    if (fault !== undefined) yield* Effect.sleep(fault.delayMs)
    return yield* Effect.sync(() => Routes.answer(server, incoming)).pipe(
      // `authorize` is somebody else's code; a real server answers a panic, too.
      Effect.catchDefect((cause) => Effect.succeed(Answers.genericStatus(500, { message: String(cause) })))
    )
  })

  const serve: Serve = Effect.fnUntraced(function* (request, response) {
    const incoming = yield* read(request)
    const given = yield* answer(incoming)
    const { method, path, query, userAgent } = incoming
    const [status, body] = typeof given === "string" ? [0, ""] : [given.status, given.body]
    requests.push({ method, path, query, status, responseBytes: Buffer.byteLength(body), userAgent })
    if (given === "reset") request.socket.destroy()
    else if (given !== "hang") send(response, given)
  })

  const { ca, connections, url } = yield* listen(options.tls ?? true, serve)
  const target = (resource: Resource, namespace: string | undefined): Store.Target => ({
    resource,
    namespace: resource.namespaced ? namespace : undefined
  })
  return {
    url,
    token,
    ca,
    kubeconfig: kubeconfig(url, token, ca),
    get: (resource, namespace, name) => {
      const object = store.get(target(resource, namespace), name)
      return object === undefined ? undefined : view(object)
    },
    list: (resource, namespace) => store.list(resource, namespace).map(view),
    all: () => store.all().map(view),
    put,
    remove: (resource, namespace, name) => store.erase(target(resource, namespace), name),
    addFault: faults.add,
    requests: () => [...requests],
    clearRequests: () => {
      requests.length = 0
    },
    setTokens: (next) => {
      tokens = new Set(next)
    },
    expireContinueTokens: store.expireContinueTokens,
    connections
  }
})

type Serve = (request: IncomingMessage, response: ServerResponse) => Effect.Effect<void>

/** What came in by a request may have anything in its metadata, as in etcd; readers take it for what it should be. */
const view = (object: Stored): KubernetesObject => object as KubernetesObject

/** A copy of an object that has what every object has. */
const checked = (object: KubernetesObject): { readonly name: string; readonly stored: Stored } => {
  const copy = Trees.clone(object)
  const tree = Trees.isTree(copy) ? copy : {}
  const metadata = Trees.child(tree, "metadata")
  const apiVersion = Trees.string(tree, "apiVersion")
  const kind = Trees.string(tree, "kind")
  const name = Trees.string(metadata, "name")
  if (apiVersion === undefined || kind === undefined || name === undefined) {
    const found = [apiVersion ?? "(no apiVersion)", kind ?? "(no kind)", name ?? "(no metadata.name)"].join(" ")
    throw new TypeError(`a Kubernetes object needs apiVersion, kind and metadata.name: ${found}`)
  }
  return { name, stored: { ...tree, apiVersion, kind, metadata } }
}

const makeFaults = () => {
  const active = new Set<{ readonly fault: Fault; left: number }>()
  return {
    add: (fault: Fault): (() => void) => {
      const entry = { fault, left: fault.times ?? Infinity }
      active.add(entry)
      return () => {
        active.delete(entry)
      }
    },
    /** What the first fault that fits makes of a request. */
    next: ({ method, path }: Routes.Incoming): Fault["answer"] | undefined => {
      for (const entry of active) {
        const { fault } = entry
        // `search` and not `test`, which remembers where it stopped in an expression with the flag `g`.
        const fits = (fault.method ?? method) === method && (fault.path === undefined || path.search(fault.path) >= 0)
        if (!fits || entry.left <= 0) continue
        entry.left--
        return fault.answer
      }
      return undefined
    }
  }
}

/** A request with its body; waits for ever if the body never ends. */
const read = (request: IncomingMessage): Effect.Effect<Routes.Incoming> =>
  Effect.callback((resume) => {
    const url = new URL(`http://127.0.0.1${request.url ?? "/"}`)
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      resume(
        Effect.succeed({
          method: request.method ?? "GET",
          path: url.pathname,
          query: Object.fromEntries(url.searchParams),
          authorization: request.headers.authorization,
          contentType: request.headers["content-type"],
          userAgent: request.headers["user-agent"],
          body: Buffer.concat(chunks).toString("utf8")
        })
      )
    })
  })

const send = (response: ServerResponse, { body, contentType, retryAfter, status }: Answers.Answer): void => {
  response.writeHead(status, {
    "Cache-Control": "no-cache, private",
    "Content-Type": contentType,
    "Content-Length": Buffer.byteLength(body),
    ...(retryAfter === undefined ? {} : { "Retry-After": String(retryAfter) })
  })
  response.end(body)
}

interface Listening {
  readonly url: string
  readonly ca: string | undefined
  readonly connections: () => number
}

const listen = Effect.fnUntraced(function* (
  tls: boolean,
  serve: Serve
): Effect.fn.Return<Listening, ApiServerError, Scope.Scope> {
  const run = yield* FiberSet.makeRuntime()
  const sockets = new Set<Socket>()
  const listener: RequestListener = (request, response) => {
    const fiber = run(serve(request, response))
    const interrupt = () => fiber.interruptUnsafe()
    request.socket.once("close", interrupt)
    fiber.addObserver(() => request.socket.off("close", interrupt))
  }
  const [server, ca] = tls ? yield* makeHttps(listener) : [yield* makeHttp(listener), undefined]
  server.on("connection", (socket: Socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
  })
  yield* Effect.acquireRelease(
    Effect.callback<void, ApiServerError>((resume) => {
      server.once("error", (cause) => resume(Effect.fail(new ApiServerError({ reason: "listen", cause }))))
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
        server.closeAllConnections()
      })
  )
  const { port } = server.address() as AddressInfo
  return { url: `${tls ? "https" : "http"}://127.0.0.1:${port}`, ca, connections: () => sockets.size }
})

const makeHttp = (listener: RequestListener): Effect.Effect<Server> =>
  Effect.promise(async () => (await import("node:http")).createServer(listener))

/** A certificate that is its own authority, for `localhost` and 127.0.0.1. */
const makeHttps = (listener: RequestListener): Effect.Effect<readonly [Server, string], ApiServerError> =>
  Effect.tryPromise({
    try: async () => {
      // Lazily: nobody else should pay for an X.509 library.
      const [{ createServer }, { generate }] = await Promise.all([import("node:https"), import("selfsigned")])
      const { cert, private: key } = await generate([{ name: "commonName", value: "127.0.0.1" }], {
        keyType: "ec",
        curve: "P-256",
        algorithm: "sha256",
        extensions: [
          { name: "basicConstraints", cA: true, critical: true },
          { name: "keyUsage", digitalSignature: true, keyCertSign: true, critical: true },
          { name: "extKeyUsage", serverAuth: true },
          {
            name: "subjectAltName",
            altNames: [
              { type: 2, value: "localhost" },
              { type: 7, ip: "127.0.0.1" }
            ]
          }
        ]
      })
      return [createServer({ key, cert }, listener), cert] as const
    },
    catch: (cause) => new ApiServerError({ reason: "certificate", cause })
  })

const kubeconfig = (url: string, token: string, ca: string | undefined): string => {
  const name = "in-process"
  return JSON.stringify(
    {
      apiVersion: "v1",
      kind: "Config",
      clusters: [
        {
          name,
          cluster: {
            server: url,
            ...(ca === undefined ? {} : { "certificate-authority-data": Buffer.from(ca).toString("base64") })
          }
        }
      ],
      users: [{ name, user: { token } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      "current-context": name
    },
    undefined,
    2
  )
}
