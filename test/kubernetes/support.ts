/** What the tests of this folder share. */
import * as Clock from "effect/Clock"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as Fs from "node:fs"
import type { RequestListener } from "node:http"
import * as Https from "node:https"
import type { AddressInfo } from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import * as ApiServer from "../../src/kubernetes/ApiServer.ts"
import { Kubernetes, type Resource } from "../../src/kubernetes/Kubernetes.ts"
import type * as TestServer from "../../src/testing/ApiServer.ts"

export const clusters: Resource = {
  group: "postgresql.cnpg.io",
  version: "v1",
  resource: "clusters",
  kind: "Cluster",
  namespaced: true
}

export const configMap = (
  name: string,
  data: Readonly<Record<string, unknown>> = {},
  metadata: TestServer.ObjectMeta = {}
) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "shop", ...metadata }, data })

export const cluster = (name: string, spec: unknown = {}, metadata: TestServer.ObjectMeta = {}) => ({
  apiVersion: "postgresql.cnpg.io/v1",
  kind: "Cluster",
  metadata: { name, namespace: "shop", ...metadata },
  spec
})

/** A directory that goes with the test; answers with what writes a file into it. */
export const temporaryDirectory: Effect.Effect<
  (file: string, text: string, mode?: number) => string,
  never,
  Scope.Scope
> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "kubernetes-test-"))),
    (directory) => Effect.sync(() => Fs.rmSync(directory, { recursive: true, force: true }))
  ),
  (directory) =>
    (file, text, mode = 0o600) => {
      const path = Path.join(directory, file)
      Fs.mkdirSync(Path.dirname(path), { recursive: true })
      Fs.writeFileSync(path, text, { mode })
      return path
    }
)

/** Kubernetes with this environment and no other, until the test ends. */
export const connect = (
  environment: Readonly<Record<string, string>>,
  serviceAccount = "/nowhere"
): Effect.Effect<Kubernetes["Service"], never, Scope.Scope> =>
  Effect.map(
    Layer.build(
      Layer.fresh(ApiServer.layerWith({ serviceAccount })).pipe(
        Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ ...environment })))
      )
    ),
    Context.get(Kubernetes)
  )

/** Kubernetes of a test server, with the server's own kubeconfig. */
export const connectTo = (server: TestServer.ApiServer, environment: Readonly<Record<string, string>> = {}) =>
  Effect.flatMap(temporaryDirectory, (write) =>
    connect({ KUBECONFIG: write("kubeconfig", server.kubeconfig), ...environment })
  )

export interface Certificate {
  readonly key: string
  readonly cert: string
}

export interface CertificateOptions {
  readonly host?: string
  readonly expired?: boolean
}

/** A certificate that is its own authority, for servers and clients. */
export const makeCertificate = ({ expired = false, host }: CertificateOptions = {}): Effect.Effect<Certificate> => {
  const validity = expired ? longAgo : {}
  return Effect.promise(async () => {
    const { generate } = await import("selfsigned")
    const { cert, private: key } = await generate([{ name: "commonName", value: host ?? "127.0.0.1" }], {
      keyType: "ec",
      curve: "P-256",
      algorithm: "sha256",
      ...validity,
      extensions: [
        { name: "basicConstraints", cA: true, critical: true },
        { name: "keyUsage", digitalSignature: true, keyCertSign: true, critical: true },
        { name: "extKeyUsage", serverAuth: true, clientAuth: true },
        {
          name: "subjectAltName",
          altNames: [host === undefined ? { type: 7, ip: "127.0.0.1" } : { type: 2, value: host }]
        }
      ]
    })
    return { key, cert }
  })
}

const longAgo = { notBeforeDate: new Date("2020-01-01"), notAfterDate: new Date("2021-01-01") }

/** Something with TLS that is no API server. */
export interface StandIn {
  readonly port: number
  readonly cert: string
  readonly requests: () => number
}

export const emptyObject: RequestListener = (_, response) => response.end("{}")

/** Answers everything alike; `clients` are the certificates of those that it talks to, `port` is any by default. */
export const standIn = (
  { cert, key }: Certificate,
  answer: RequestListener = emptyObject,
  { clients, port = 0 }: { readonly clients?: ReadonlyArray<Certificate>; readonly port?: number } = {}
): Effect.Effect<StandIn, never, Scope.Scope> =>
  Effect.gen(function* () {
    let requests = 0
    const options: Https.ServerOptions = {
      key,
      cert,
      ...(clients === undefined
        ? {}
        : { requestCert: true, rejectUnauthorized: true, ca: clients.map((client) => client.cert) })
    }
    const server = yield* Effect.acquireRelease(
      Effect.callback<Https.Server>((resume) => {
        const https = Https.createServer(options, (request, response) => {
          requests++
          answer(request, response)
        })
        https.listen(port, "127.0.0.1", () => resume(Effect.succeed(https)))
      }),
      (https) =>
        Effect.callback<void>((resume) => {
          https.close(() => resume(Effect.void))
          https.closeAllConnections()
        })
    )
    return { port: (server.address() as AddressInfo).port, cert, requests: () => requests }
  })

type Fields = Readonly<Record<string, unknown>>

const base64 = (text: string): string => Buffer.from(text).toString("base64")

/** The kubeconfig of a stand-in, with these fields of the cluster and the user in addition. */
export const kubeconfig = ({ cert, port }: StandIn, cluster: Fields = {}, user: Fields = { token: "any" }): string =>
  JSON.stringify({
    clusters: [
      {
        name: "c",
        cluster: { server: `https://127.0.0.1:${port}`, "certificate-authority-data": base64(cert), ...cluster }
      }
    ],
    users: [{ name: "u", user }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x"
  })

/** The user of a kubeconfig with a client certificate. */
export const withCertificate = ({ cert, key }: Certificate): Fields => ({
  "client-certificate-data": base64(cert),
  "client-key-data": base64(key)
})

/** Waits for what sockets do, which no test clock moves. */
export const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.yieldNow.pipe(Effect.repeat({ until: condition }), Effect.asVoid)

/** A call under way whose waiting can be looked at. */
export interface Watched<A, E> {
  readonly fiber: Fiber.Fiber<A, E>
  /** Every wait that it began, in milliseconds: the deadline first, then a wait for each retry. */
  readonly waits: ReadonlyArray<number>
  /** Lets the wait for the n-th retry (1, 2, …) begin, and then pass. */
  readonly passRetry: (n: number) => Effect.Effect<void>
}

export const watch = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Watched<A, E>, never, R> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const waits: Array<number> = []
    const watched: Clock.Clock = {
      ...clock,
      sleep: (duration) => {
        waits.push(Duration.toMillis(duration))
        return clock.sleep(duration)
      }
    }
    const fiber = yield* Effect.forkChild(Effect.provideService(effect, Clock.Clock, watched))
    return {
      fiber,
      waits,
      passRetry: (n) =>
        Effect.gen(function* () {
          yield* until(() => waits.length > n)
          yield* TestClock.adjust(Duration.millis(waits[n] ?? 0))
        })
    }
  })
