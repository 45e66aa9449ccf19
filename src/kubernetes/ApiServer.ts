/**
 * Kubernetes over the API server's REST interface.
 *
 * `@kubernetes/client-node` finds the server and the credentials (kubeconfig, service account, exec plugins, proxies); the
 * requests are our own, because its object model drops unknown fields and rounds int64s, and its HTTP library does not verify
 * TLS under Bun. It is loaded at the first request: handshake, ListPlugins and actions without Kubernetes never pay for it.
 *
 * Deadline 30 s a call, or `KUBERNETES_CALL_TIMEOUT` (such as `10 seconds`). Within it 429, 5xx and broken connections are
 * retried with growing, jittered delays, or after as long as the server asks (`Retry-After`).
 */
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Path from "node:path"
import type { KubeConfig } from "@kubernetes/client-node"
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

/** How often a list that expires half way may start again before it counts as unavailable. */
const maximumRestarts = 3

const serviceAccountToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

const optionalString = (name: string) => Config.String(name).pipe(Config.option, Config.map(Option.getOrUndefined))

const settings = Config.all({
  kubeconfig: optionalString("KUBECONFIG"),
  home: optionalString("HOME"),
  serviceHost: optionalString("KUBERNETES_SERVICE_HOST"),
  timeout: Config.Duration("KUBERNETES_CALL_TIMEOUT").pipe(Config.withDefault(Duration.seconds(30)))
})

type Load = (config: KubeConfig) => void

/** The way to the cluster, decided by what exists, without loading anything; none is an answer too. */
const chooseSource = (
  kubeconfig: string | undefined,
  home: string | undefined,
  serviceHost: string | undefined
): Effect.Effect<Load, NoCluster> =>
  Effect.suspend(() => {
    if (kubeconfig) return Effect.succeed<Load>((config) => config.loadFromDefault())
    const homeConfig = home ? Path.join(home, ".kube", "config") : undefined
    if (homeConfig !== undefined && Fs.existsSync(homeConfig)) {
      return Effect.succeed<Load>((config) => config.loadFromFile(homeConfig))
    }
    if (serviceHost && Fs.existsSync(serviceAccountToken)) {
      return Effect.succeed<Load>((config) => config.loadFromCluster())
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
  readonly method: "GET" | "PATCH"
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: string
  readonly contentType?: string
  readonly resource: Resource
  readonly what: string
}

const userAgent = "velero-plugin-cnpg"

/** Errors of a connection that the next try will meet again. */
const permanentCodes = new Set([
  "CERT_HAS_EXPIRED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "ERR_INVALID_URL"
])

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
      response.on("aborted", () => reject(new Error("the connection broke in the middle of the answer")))
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

/** Keep-alive for the plain agents that client-node makes anew for each request; proxies keep their own kind. */
const keepAlive = (agent: unknown, options: Https.RequestOptions): Http.Agent | Https.Agent | undefined => {
  if (agent instanceof Https.Agent && agent.constructor === Https.Agent) {
    return new Https.Agent({
      keepAlive: true,
      ...(options.ca === undefined ? {} : { ca: options.ca }),
      ...(options.cert === undefined ? {} : { cert: options.cert }),
      ...(options.key === undefined ? {} : { key: options.key }),
      ...(options.servername === undefined ? {} : { servername: options.servername }),
      ...(options.rejectUnauthorized === undefined ? {} : { rejectUnauthorized: options.rejectUnauthorized })
    })
  }
  return agent instanceof Http.Agent ? agent : undefined
}

/** A way to the server with its credentials, good until the server refuses them. */
interface Connection {
  readonly server: string
  readonly options: () => Promise<Https.RequestOptions>
}

const connect = async (load: Load): Promise<Connection> => {
  const { KubeConfig } = await import("@kubernetes/client-node")
  const config = new KubeConfig()
  load(config)
  const cluster = config.getCurrentCluster()
  if (cluster === null || !cluster.server) throw new Error("the kubeconfig's current context names no cluster")
  const agents = new Map<string, Http.Agent | Https.Agent | undefined>()
  return {
    server: cluster.server,
    options: async () => {
      const options: Https.RequestOptions = { headers: {} }
      await config.applyToHTTPSOptions(options as Parameters<KubeConfig["applyToHTTPSOptions"]>[0])
      // Exec plugins may hand out another certificate at any time.
      const identity = [options.cert, options.key].map(String).join()
      if (!agents.has(identity)) agents.set(identity, keepAlive(options.agent, options))
      const agent = agents.get(identity)
      return agent === undefined ? options : { ...options, agent }
    }
  }
}

const pathOf = ({ group, resource, version }: Resource, namespace: string | undefined, name?: string): string =>
  [
    group === "" ? `/api/${version}` : `/apis/${group}/${version}`,
    ...(namespace === undefined || namespace === "" ? [] : ["namespaces", encodeURIComponent(namespace)]),
    resource,
    ...(name === undefined ? [] : [encodeURIComponent(name)])
  ].join("/")

const refusal = ({ resource, verb, what }: Call, { body, status }: Answer): KubernetesError => {
  const detail = statusMessage(body)
  if (status === 401 || status === 403) {
    return new Forbidden({ verb, what, resource: groupResource(resource), detail })
  }
  if (status === 404) return new NotFound({ what, detail })
  return new Rejected({ what, status, detail })
}

const make = Effect.gen(function* () {
  const { home, kubeconfig, serviceHost, timeout } = yield* Effect.orDie(settings)
  const lock = yield* Semaphore.make(1)
  let connection: Connection | undefined

  const connected = Semaphore.withPermit(
    lock,
    Effect.gen(function* () {
      if (connection !== undefined) return connection
      const load = yield* chooseSource(kubeconfig, home, serviceHost)
      connection = yield* Effect.tryPromise({
        try: () => connect(load),
        catch: (cause) => new NoCluster({ detail: errorText(cause) })
      })
      return connection
    })
  )

  const once = (call: Call) =>
    Effect.flatMap(connected, (current) =>
      Effect.tryPromise({
        try: async (signal) => {
          const options = await current.options()
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
          const detail = [errorCode(cause), errorText(cause)].filter((part) => part !== "").join(": ")
          return permanentCodes.has(errorCode(cause))
            ? new Unavailable({ what: call.what, detail })
            : new Transient({ detail, retryAfter: undefined })
        }
      })
    )

  /** A rotated token: what was read before is refused, what lies there now may not be. */
  const withFreshCredentials = (call: Call) =>
    Effect.flatMap(once(call), (answer) => {
      if (answer.status !== 401) return Effect.succeed(answer)
      connection = undefined
      return once(call)
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
            Effect.fail(new Unavailable({ what: call.what, detail: `${last} within ${Duration.format(timeout)}` }))
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
      let accumulated = initial()
      let token = ""
      do {
        const list = yield* page(resource, selection, token)
        accumulated = ((list["items"] ?? []) as ReadonlyArray<KubernetesObject>).reduce(step, accumulated)
        const next = list.metadata?.["continue"]
        token = typeof next === "string" ? next : ""
      } while (token !== "")
      return accumulated
    }).pipe(
      Effect.catchTag("Rejected", (error) =>
        error.status === 410 && restarts < maximumRestarts
          ? fold(resource, selection, initial, step, restarts + 1)
          : Effect.fail(error)
      )
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
        verb: "patch",
        method: "PATCH",
        path: pathOf(resource, object.metadata?.namespace, object.metadata?.name ?? ""),
        query: { fieldManager, force: String(force) },
        body: JSON.stringify(object),
        contentType: "application/apply-patch+yaml",
        resource,
        what: describe(resource, object.metadata?.namespace, object.metadata?.name)
      })
  })
})

/** Connects at the first call, never before. */
export const layer: Layer.Layer<Kubernetes> = Layer.effect(Kubernetes, make)
