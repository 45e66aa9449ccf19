/**
 * Kubernetes over the API server's REST interface.
 *
 * `@kubernetes/client-node` finds the server and the credentials (kubeconfig, service account, exec plugins, proxies); the
 * requests are our own, because its object model drops unknown fields and rounds int64s, and its HTTP library does not verify
 * TLS under Bun. It is loaded at the first request: handshake, ListPlugins and actions without Kubernetes never pay for it.
 *
 * The way to the cluster is what kubectl would take: the files of `KUBECONFIG`, `~/.kube/config`, a pod's service account.
 *
 * Deadline 30 s a call, or `KUBERNETES_CALL_TIMEOUT` (such as `10 seconds`). Within it 429, 5xx and broken connections are
 * retried with growing, jittered delays, or after as long as the server asks (`Retry-After`).
 *
 * @module
 */
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Path from "node:path"
import type { KubeConfig } from "@kubernetes/client-node/dist/config.js"
import * as Config from "effect/Config"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import type { ApplyOptions, KubernetesObject, Resource, Selection } from "./Kubernetes.ts"
import {
  describe,
  Forbidden,
  groupResource,
  Kubernetes,
  type KubernetesError,
  NoCluster,
  NotFound,
  Rejected,
  Unavailable
} from "./Kubernetes.ts"

/** Objects of a list that are held at once. */
const pageSize = 250

/** Where Kubernetes puts a pod's credentials. */
const serviceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

/** How often a list that expires half way may start again before it counts as unavailable. */
const maximumRestarts = 3

const optionalString = (name: string) => Config.String(name).pipe(Config.option, Config.map(Option.getOrUndefined))

const environment = Config.all({
  kubeconfig: optionalString("KUBECONFIG"),
  home: optionalString("HOME"),
  serviceHost: optionalString("KUBERNETES_SERVICE_HOST"),
  servicePort: optionalString("KUBERNETES_SERVICE_PORT")
})

const defaultTimeout = Duration.seconds(30)

/** A layer that fails takes the executable with it, and Velero's server after it: a wrong setting is only worth a warning. */
const callTimeout = Config.Duration("KUBERNETES_CALL_TIMEOUT").pipe(
  Config.withDefault(defaultTimeout),
  Effect.catch(() =>
    Effect.as(
      Effect.logWarning(
        `KUBERNETES_CALL_TIMEOUT is not a duration such as "10 seconds": ${Duration.format(defaultTimeout)} apply`
      ),
      defaultTimeout
    )
  )
)

/** Reads what tells the way to the cluster. */
type Load = (kubernetes: { readonly KubeConfig: new () => KubeConfig }) => KubeConfig

/** As kubectl merges files: missing ones do not count, and the first that names something has its way. */
const fromFiles =
  (files: ReadonlyArray<string>, context?: string): Load =>
  ({ KubeConfig }) => {
    const existing = files.filter((file) => Fs.existsSync(file))
    if (existing.length === 0) throw new Error(`${files.join(", ")}: there is no such file`)
    const loaded = existing.flatMap((file) => {
      const config = new KubeConfig()
      try {
        // A file without content is an empty kubeconfig; client-node would stumble over it.
        const lines = Fs.readFileSync(file, "utf8").split("\n")
        if (lines.every((line) => /^\s*(#|$)/.test(line))) return []
        config.loadFromFile(file)
      } catch (cause) {
        // The further lines quote the file, which holds credentials.
        throw new Error(`${file}: ${errorText(cause).split("\n")[0]}`, { cause })
      }
      return [config]
    })
    const firsts = <A extends { readonly name: string }>(of: (config: KubeConfig) => ReadonlyArray<A>) => [
      ...new Map(loaded.toReversed().flatMap((config) => of(config).map((it) => [it.name, it]))).values()
    ]
    const merged = new KubeConfig()
    merged.loadFromOptions({
      // client-node refuses plain HTTP without this; there is no TLS to skip.
      clusters: firsts(({ clusters }) => clusters).map((cluster) =>
        cluster.server.startsWith("http:") ? { ...cluster, skipTLSVerify: true } : cluster
      ),
      users: firsts(({ users }) => users),
      contexts: firsts(({ contexts }) => contexts),
      currentContext: context ?? loaded.map(({ currentContext }) => currentContext).find((current) => !!current)
    })
    if (context !== undefined && merged.getContextObject(context) === null) {
      const names = merged.contexts.map(({ name }) => name).join(", ")
      throw new Error(`${existing.join(", ")}: there is no context ${context}; there are ${names || "none"}`)
    }
    return merged
  }

/** As `loadFromCluster` does it, but from no other process environment and directory than it is told. */
const fromServiceAccount =
  (directory: string, host: string, port: string): Load =>
  ({ KubeConfig }) => {
    const name = "service account"
    const config = new KubeConfig()
    config.loadFromOptions({
      clusters: [
        {
          name,
          server: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
          caFile: Path.join(directory, "ca.crt"),
          skipTLSVerify: false
        }
      ],
      users: [{ name, authProvider: { name: "tokenFile", config: { tokenFile: Path.join(directory, "token") } } }],
      contexts: [{ name, cluster: name, user: name }],
      currentContext: name
    })
    return config
  }

/** The way to the cluster, decided by what exists, without loading anything; none is an answer too. */
const chooseSource = (
  { home, kubeconfig, serviceHost, servicePort }: Config.Success<typeof environment>,
  { context, kubeconfig: file, serviceAccount = serviceAccountDirectory }: Options
): Effect.Effect<Load, NoCluster> =>
  Effect.suspend(() => {
    if (file !== undefined) return Effect.succeed(fromFiles([file], context))
    const files = (kubeconfig ?? "").split(Path.delimiter).filter((each) => each !== "")
    if (files.length > 0) return Effect.succeed(fromFiles(files, context))
    const homeConfig = home ? Path.join(home, ".kube", "config") : undefined
    if (homeConfig !== undefined && Fs.existsSync(homeConfig)) return Effect.succeed(fromFiles([homeConfig], context))
    if (context !== undefined) {
      return Effect.fail(
        new NoCluster({ detail: `KUBECONFIG is not set and there is no ~/.kube/config to have context ${context}` })
      )
    }
    if (serviceHost && servicePort && Fs.existsSync(Path.join(serviceAccount, "token"))) {
      return Effect.succeed(fromServiceAccount(serviceAccount, serviceHost, servicePort))
    }
    return Effect.fail(
      new NoCluster({ detail: "KUBECONFIG is not set, there is no ~/.kube/config and no service account token" })
    )
  })

/** A failure that is worth another try. */
class Transient extends Data.TaggedError("Transient")<{
  readonly detail: string
  readonly retryAfter: Duration.Duration | undefined
}> {}

/** The server's answer, whatever its status. */
interface Answer {
  readonly status: number
  readonly body: string
}

interface Call {
  readonly verb: string
  readonly method: "GET" | "PATCH" | "DELETE"
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: string
  readonly contentType?: string
  readonly resource: Resource
  readonly what: string
}

const userAgent = "velero-plugin-cnpg"

/** What to do about errors of a connection that the next try would meet again. */
const remedies: ReadonlyArray<readonly [code: RegExp, remedy: string]> = [
  [
    /SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED/,
    "the configured authority did not sign the server's certificate; correct certificate-authority-data in the kubeconfig"
  ],
  [/ALTNAME_INVALID/, "correct the server in the kubeconfig, or name the certificate's host in its tls-server-name"],
  [/CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/, "renew the server's certificate, or correct the clock of this machine"],
  [/ALERT_.*(CERTIFICATE|CA)/, "the server does not accept the client certificate; renew it in the kubeconfig"],
  [/WRONG_VERSION_NUMBER/, "the server does not speak TLS; correct its address in the kubeconfig"],
  [/ERR_INVALID_URL/, "correct the server's address in the kubeconfig"]
]

const errorCode = (cause: unknown): string =>
  typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""

const errorText = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))

const retryAfterOf = (headers: Http.IncomingHttpHeaders): Duration.Duration | undefined => {
  const seconds = Number(headers["retry-after"])
  return Number.isFinite(seconds) ? Duration.seconds(seconds) : undefined
}

/** One HTTP exchange; rejects with a `Transient` for what is worth a retry. */
const exchange = (
  url: URL,
  options: Https.RequestOptions,
  body: string | undefined,
  signal: AbortSignal
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = (url.protocol === "http:" ? Http : Https).request(url, { ...options, signal }, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("error", reject)
      response.on("end", () => {
        const status = response.statusCode ?? 0
        const text = Buffer.concat(chunks).toString("utf8")
        if (status === 429 || status >= 500) {
          reject(
            new Transient({ detail: `${status} ${statusMessage(text)}`, retryAfter: retryAfterOf(response.headers) })
          )
        } else {
          resolve({ status, body: text })
        }
      })
    })
    request.on("error", reject)
    request.end(body)
  })

const parseBody = (body: string): KubernetesObject | undefined => {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === "object" && value !== null ? (value as KubernetesObject) : undefined
  } catch {
    return undefined
  }
}

/** The message of a `metav1.Status`, or the beginning of whatever came instead. */
const statusMessage = (body: string): string => {
  const message = parseBody(body)?.["message"]
  return typeof message === "string" ? message : body.slice(0, 200).replace(/\s+/g, " ")
}

const backoff = Schedule.min([Schedule.exponential("200 millis"), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered,
  Schedule.setInputType<KubernetesError | Transient>(),
  Schedule.modifyDelay(({ duration, input }) =>
    Effect.succeed(
      input._tag === "Transient" && input.retryAfter !== undefined ? Duration.max(duration, input.retryAfter) : duration
    )
  )
)

/** Keep connections open, which client-node's own do not. They hold no certificates: each connection serves its own alone. */
const makeAgents = () => {
  const agents = { http: new Http.Agent({ keepAlive: true }), https: new Https.Agent({ keepAlive: true }) }
  return {
    /** Instead of a plain agent; proxies have agents of their own. */
    insteadOf: (agent: Https.RequestOptions["agent"]): Https.RequestOptions["agent"] => {
      if (!(agent instanceof Http.Agent)) return agent
      if (agent.constructor === Https.Agent) return agents.https
      return agent.constructor === Http.Agent ? agents.http : agent
    },
    close: () => {
      agents.http.destroy()
      agents.https.destroy()
    }
  }
}

type Agents = ReturnType<typeof makeAgents>

/** A way to the server with its credentials, good until the server refuses them. */
interface Connection {
  readonly server: string
  readonly options: () => Promise<Https.RequestOptions>
}

const connect = async (load: Load, agents: Agents): Promise<Connection> => {
  const config = load(await import("@kubernetes/client-node/dist/config.js"))
  const cluster = config.getCurrentCluster()
  if (cluster === null || !cluster.server) throw new Error("the kubeconfig's current context names no cluster")
  return {
    server: cluster.server,
    options: async () => {
      const options: Https.RequestOptions = { headers: {} }
      await config.applyToHTTPSOptions(options as Parameters<KubeConfig["applyToHTTPSOptions"]>[0])
      const headers = options.headers as Http.OutgoingHttpHeaders
      // Files of tokens may end in a new line, headers may not.
      if (typeof headers["Authorization"] === "string") headers["Authorization"] = headers["Authorization"].trim()
      return { ...options, agent: agents.insteadOf(options.agent) }
    }
  }
}

const apiVersionOf = ({ group, version }: Resource): string => (group === "" ? version : `${group}/${version}`)

const pathOf = ({ group, resource, version }: Resource, namespace: string | undefined, name?: string): string =>
  [
    group === "" ? `/api/${version}` : `/apis/${group}/${version}`,
    ...(namespace === undefined || namespace === "" ? [] : ["namespaces", encodeURIComponent(namespace)]),
    resource,
    ...(name === undefined ? [] : [encodeURIComponent(name)])
  ].join("/")

const refusal = ({ resource, verb, what }: Call, { body, status }: Answer): KubernetesError => {
  const detail = statusMessage(body)
  switch (status) {
    case 401:
      return new Forbidden({
        verb,
        what,
        resource: groupResource(resource),
        detail,
        remedy: "The API server does not know the credentials: renew the token, or log in again"
      })
    case 403:
      return new Forbidden({ verb, what, resource: groupResource(resource), detail })
    case 404:
      return new NotFound({ what, detail: namesObject(body) ? detail : unknownResource(resource) })
    default:
      return new Rejected({ verb, what, status, detail })
  }
}

/** Whether a 404 is about an object, and not about its whole kind. */
const namesObject = (body: string): boolean => {
  const details = parseBody(body)?.["details"]
  return typeof details === "object" && details !== null && "name" in details
}

const unknownResource = (resource: Resource): string =>
  `the API server does not serve ${groupResource(resource)} in version ${resource.version}: install what defines it`

/** Where the way to the cluster stands, other than where kubectl would look. */
export interface Options {
  /** A pod's credentials, in another directory than Kubernetes puts them. */
  readonly serviceAccount?: string
  /** The one kubeconfig that counts. */
  readonly kubeconfig?: string | undefined
  /** Instead of the kubeconfig's current one. */
  readonly context?: string | undefined
}

const make = Effect.fnUntraced(function* (given: Options) {
  const env = yield* Effect.orDie(environment)
  const timeout = yield* callTimeout
  const agents = yield* Effect.acquireRelease(Effect.sync(makeAgents), ({ close }) => Effect.sync(close))
  const lock = yield* Semaphore.make(1)
  let connection: Connection | undefined

  const connected = Semaphore.withPermit(
    lock,
    Effect.gen(function* () {
      if (connection !== undefined) return connection
      const load = yield* chooseSource(env, given)
      connection = yield* Effect.tryPromise({
        try: () => connect(load, agents),
        catch: (cause) => new NoCluster({ detail: errorText(cause) })
      })
      return connection
    })
  )

  /** Certificates and tokens, of which exec plugins and files may have newer ones at any time. */
  const credentials = ({ options }: Connection, what: string) =>
    Effect.tryPromise({
      try: options,
      catch: (cause) =>
        new Unavailable({
          what,
          detail: `there are no credentials (${errorText(cause).trim()}); correct what the kubeconfig's current context or the pod mounts`
        })
    })

  const once = (current: Connection, call: Call) =>
    Effect.gen(function* () {
      const options = yield* credentials(current, call.what)
      return yield* Effect.tryPromise({
        try: (signal) => {
          const url = new URL(current.server.replace(/\/$/, "") + call.path)
          for (const [key, value] of Object.entries(call.query ?? {})) url.searchParams.set(key, value)
          const headers: Http.OutgoingHttpHeaders = {
            ...(options.headers as Http.OutgoingHttpHeaders),
            accept: "application/json",
            "user-agent": userAgent,
            ...(call.body === undefined
              ? {}
              : { "content-type": call.contentType, "content-length": Buffer.byteLength(call.body) })
          }
          return exchange(url, { ...options, method: call.method, headers }, call.body, signal)
        },
        catch: (cause) => {
          if (cause instanceof Transient) return cause
          const code = errorCode(cause)
          const detail = [code, errorText(cause)].filter((part) => part !== "").join(": ")
          const remedy = remedies.find(([codes]) => codes.test(code))?.[1]
          return remedy === undefined
            ? new Transient({ detail, retryAfter: undefined })
            : new Unavailable({ what: call.what, detail: `${detail}; ${remedy}` })
        }
      })
    })

  /** A rotated token: what was read before is refused, what lies there now may not be. */
  const withFreshCredentials = (call: Call) =>
    Effect.gen(function* () {
      const used = yield* connected
      const answer = yield* once(used, call)
      if (answer.status !== 401) return answer
      // Another call may have renewed them meanwhile.
      if (connection === used) connection = undefined
      return yield* once(yield* connected, call)
    })

  const send = (call: Call): Effect.Effect<KubernetesObject, KubernetesError> =>
    Effect.suspend(() => {
      let last = "no answer"
      return withFreshCredentials(call).pipe(
        Effect.flatMap((answer): Effect.Effect<KubernetesObject, KubernetesError | Transient> => {
          if (answer.status >= 300) return Effect.fail(refusal(call, answer))
          const object = parseBody(answer.body)
          return object === undefined
            ? Effect.fail(new Transient({ detail: "an answer that is not JSON", retryAfter: undefined }))
            : Effect.succeed(object)
        }),
        Effect.tapError((error) => Effect.sync(() => (last = error._tag === "Transient" ? error.detail : last))),
        Effect.retry({ schedule: backoff, while: (error) => error._tag === "Transient" }),
        Effect.catchTag("Transient", ({ detail }) => Effect.fail(new Unavailable({ what: call.what, detail }))),
        Effect.timeoutOrElse({
          duration: timeout,
          orElse: () =>
            Effect.fail(
              new Unavailable({ what: call.what, detail: `${last} (gave up after ${Duration.format(timeout)})` })
            )
        }),
        Effect.withSpan(`kubernetes.${call.verb}`, { attributes: { what: call.what } })
      )
    })

  const page = (resource: Resource, selection: Selection, token: string) =>
    send({
      verb: "list",
      method: "GET",
      path: pathOf(resource, selection.namespace),
      query: {
        limit: String(pageSize),
        ...(token === "" ? {} : { continue: token }),
        ...(selection.labelSelector === undefined ? {} : { labelSelector: selection.labelSelector })
      },
      resource,
      what: describe(resource, selection.namespace)
    })

  const fold = <A>(
    resource: Resource,
    selection: Selection,
    initial: () => A,
    step: (accumulated: A, object: KubernetesObject) => A,
    restarts = 0
  ): Effect.Effect<A, KubernetesError> =>
    Effect.gen(function* () {
      const identity = { apiVersion: apiVersionOf(resource), kind: resource.kind }
      let accumulated = initial()
      let token = ""
      do {
        const list = yield* page(resource, selection, token)
        for (const item of (list["items"] ?? []) as ReadonlyArray<KubernetesObject>) {
          // Items of built-in kinds come without what the list says already.
          accumulated = step(accumulated, item.kind === undefined ? { ...identity, ...item } : item)
        }
        const next = list.metadata?.["continue"]
        token = typeof next === "string" ? next : ""
      } while (token !== "")
      return accumulated
    }).pipe(
      Effect.catchTag("Rejected", (error) => {
        if (error.status !== 410) return Effect.fail(error)
        if (restarts < maximumRestarts) return fold(resource, selection, initial, step, restarts + 1)
        return Effect.fail(
          new Unavailable({
            what: error.what,
            detail: `the list expired ${restarts + 1} times before its end (${error.detail}); try again later`
          })
        )
      })
    )

  return Kubernetes.of({
    get: (resource, namespace, name) =>
      send({
        verb: "get",
        method: "GET",
        path: pathOf(resource, namespace, name),
        resource,
        what: describe(resource, namespace, name)
      }),
    fold: (resource, selection, initial, step) => fold(resource, selection, initial, step),
    apply: (resource: Resource, object: KubernetesObject, { fieldManager, force }: ApplyOptions) =>
      send({
        verb: "apply",
        method: "PATCH",
        path: pathOf(resource, object.metadata?.namespace, object.metadata?.name ?? ""),
        query: { fieldManager, force: String(force) },
        body: JSON.stringify(object),
        contentType: "application/apply-patch+yaml",
        resource,
        what: describe(resource, object.metadata?.namespace, object.metadata?.name)
      }),
    delete: (resource, namespace, name, uid) =>
      Effect.asVoid(
        send({
          verb: "delete",
          method: "DELETE",
          path: pathOf(resource, namespace, name),
          body: JSON.stringify({ apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid } }),
          contentType: "application/json",
          resource,
          what: describe(resource, namespace, name)
        })
      )
  })
})

/** The way to the cluster by other means than kubectl's. */
export const layerWith = (options: Options): Layer.Layer<Kubernetes> => Layer.effect(Kubernetes, make(options))

/** Connects at the first call, never before. */
export const layer: Layer.Layer<Kubernetes> = layerWith({})
