/** The way to the cluster: where `ApiServer.ts` finds it, and what becomes of credentials that change. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Exit from "effect/Exit"
import * as TestClock from "effect/testing/TestClock"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Net from "node:net"
import * as Path from "node:path"
import { resources, type Kubernetes } from "../../src/kubernetes/Kubernetes.ts"
import type { ApiServer } from "../../src/testing/ApiServer.ts"
import * as TestServer from "../../src/testing/ApiServer.ts"
import {
  configMap,
  connect,
  connectTo,
  emptyObject,
  kubeconfig,
  makeCertificate,
  standIn,
  temporaryDirectory,
  until,
  watch,
  withCertificate
} from "./support.ts"

const read = (kubernetes: Kubernetes["Service"]) => kubernetes.get(resources.configMaps, "shop", "a")

const makeServer = TestServer.make({ objects: [configMap("a")] })

const statuses = (server: ApiServer) => server.requests().map(({ status }) => status)

interface Kubeconfig {
  clusters: [{ name: string; cluster: Record<string, unknown> }]
  users: [{ name: string; user: Record<string, unknown> }]
  contexts: [{ name: string; context: Record<string, unknown> }]
  "current-context": string
}

const configOf = (server: ApiServer) => JSON.parse(server.kubeconfig) as Kubeconfig

/** The server's kubeconfig with another user. */
const asUser = (server: ApiServer, user: Record<string, unknown>): string => {
  const config = configOf(server)
  config.users[0].user = user
  return JSON.stringify(config)
}

describe("no cluster", () => {
  it.effect("is known at once, without a request, and again each time", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const write = yield* temporaryDirectory
      const home = Path.dirname(write("empty", ""))
      const { hostname, port } = new URL(server.url)
      // A host alone does not make a pod.
      const kubernetes = yield* connect({
        HOME: home,
        KUBERNETES_SERVICE_HOST: hostname,
        KUBERNETES_SERVICE_PORT: port
      })
      for (let call = 0; call < 2; call++) {
        const { fiber, waits } = yield* watch(Effect.flip(read(kubernetes)))
        const error = yield* Fiber.join(fiber)
        assert.strictEqual(error._tag, "NoCluster")
        assert.strictEqual(
          error.message,
          "no Kubernetes cluster is configured: KUBECONFIG is not set, there is no ~/.kube/config and no service account " +
            "token. Run inside a pod with a service account, or set KUBECONFIG"
        )
        assert.isAtMost(waits.length, 1)
      }
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      assert.lengthOf(server.requests(), 0)
      assert.strictEqual(server.connections(), 0)
      // It is not remembered: somebody may log in.
      write(".kube/config", server.kubeconfig)
      yield* read(kubernetes)
    })
  )

  it.effect.each([
    ["a file that is not there", undefined, /\/config: there is no such file\. Run inside a pod/],
    ["an empty file", "\n", /the kubeconfig's current context names no cluster/],
    ["a context that is nowhere", `{"current-context": "gone"}`, /the kubeconfig's current context names no cluster/],
    ["text that is no YAML", "users: [\nclusters: {token: s3cret", /\/config: (?!.*s3cret)/s],
    [
      "a cluster without a server",
      `{"clusters": [{"name": "a", "cluster": {}}]}`,
      /\/config: clusters\[0\]\.cluster\.server/
    ]
  ] as const)("says what is wrong with %s", ([, text, expected]) =>
    Effect.gen(function* () {
      const write = yield* temporaryDirectory
      const file = write("config", text ?? "")
      if (text === undefined) Fs.rmSync(file)
      const error = yield* Effect.flip(read(yield* connect({ KUBECONFIG: file })))
      assert.strictEqual(error._tag, "NoCluster")
      assert.match(error.message, expected)
    })
  )
})

describe("kubeconfig", () => {
  it.effect("is neither read nor are connections made before the first call", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const write = yield* temporaryDirectory
      const file = write("config", "not yet: [")
      const kubernetes = yield* connect({ KUBECONFIG: file })
      assert.strictEqual(server.connections(), 0)
      write("config", server.kubeconfig)
      yield* read(kubernetes)
      assert.strictEqual(server.connections(), 1)
    })
  )

  it.effect("is that of the environment, before ~/.kube/config, before the pod's service account", () =>
    Effect.gen(function* () {
      const [first, second, third] = yield* Effect.all([makeServer, makeServer, makeServer])
      const write = yield* temporaryDirectory
      const serviceAccount = Path.dirname(write("account/token", third.token))
      write("account/ca.crt", third.ca ?? "")
      const { hostname, port } = new URL(third.url)
      const all = {
        KUBECONFIG: write("config", first.kubeconfig),
        HOME: Path.dirname(Path.dirname(write("home/.kube/config", second.kubeconfig))),
        KUBERNETES_SERVICE_HOST: hostname,
        KUBERNETES_SERVICE_PORT: port
      }
      const counts = () => [first, second, third].map((server) => server.requests().length)
      yield* read(yield* connect(all, serviceAccount))
      assert.deepStrictEqual(counts(), [1, 0, 0])
      yield* read(yield* connect({ ...all, KUBECONFIG: "" }, serviceAccount))
      assert.deepStrictEqual(counts(), [1, 1, 0])
      yield* read(yield* connect({ ...all, KUBECONFIG: "", HOME: "/nowhere" }, serviceAccount))
      assert.deepStrictEqual(counts(), [1, 1, 1])
    })
  )

  it.effect("in several files is one: missing and empty ones do not count, the first has its way", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const write = yield* temporaryDirectory
      const { clusters, contexts, users } = configOf(server)
      const wrong = { server: "https://127.0.0.1:1" }
      const KUBECONFIG = [
        "/nowhere/config",
        "",
        write("empty", "# nothing\n"),
        write("blank", ""),
        // As kubectl: neither the later cluster of this name nor the later current context count.
        write("clusters", JSON.stringify({ clusters, "current-context": contexts[0].name })),
        write(
          "contexts",
          JSON.stringify({
            contexts: [...contexts, { name: "wrong", context: { cluster: "wrong", user: "wrong" } }],
            clusters: [
              { name: clusters[0].name, cluster: wrong },
              { name: "wrong", cluster: wrong }
            ],
            "current-context": "wrong"
          })
        ),
        write("users", JSON.stringify({ users: [...users, { name: "wrong", user: { token: "wrong" } }] })),
        write("late", JSON.stringify({ users: [{ name: users[0].name, user: { token: "wrong" } }] }))
      ].join(":")
      yield* read(yield* connect({ KUBECONFIG }))
      assert.deepStrictEqual(statuses(server), [200])
    })
  )

  it.effect("names files relative to itself", () =>
    Effect.gen(function* () {
      const certificate = yield* makeCertificate()
      const client = yield* makeCertificate()
      const server = yield* standIn(certificate, emptyObject, { clients: [client] })
      const write = yield* temporaryDirectory
      write("deep/pki/ca.crt", certificate.cert)
      write("deep/pki/client.crt", client.cert)
      write("deep/pki/client.key", client.key)
      const cluster = { "certificate-authority-data": undefined, "certificate-authority": "pki/ca.crt" }
      const user = { "client-certificate": "pki/client.crt", "client-key": "pki/client.key" }
      yield* read(yield* connect({ KUBECONFIG: write("deep/config", kubeconfig(server, cluster, user)) }))
      assert.strictEqual(server.requests(), 1)
    })
  )

  it.effect("may name a server without TLS, such as kubectl proxy", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ tls: false, objects: [configMap("a")] })
      const kubernetes = yield* connectTo(server)
      for (let call = 0; call < 3; call++) yield* read(kubernetes)
      assert.deepStrictEqual(statuses(server), [200, 200, 200])
      assert.strictEqual(server.connections(), 1)
    })
  )

  it.effect("may name a proxy", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const asked: Array<string | undefined> = []
      const proxy = yield* Effect.acquireRelease(
        Effect.callback<Http.Server>((resume) => {
          const http = Http.createServer()
          http.on("connect", (request: Http.IncomingMessage, socket: Net.Socket) => {
            asked.push(request.url)
            const { hostname, port } = new URL(server.url)
            const upstream = Net.connect(Number(port), hostname, () => {
              socket.write("HTTP/1.1 200 Connection established\r\n\r\n")
              upstream.pipe(socket)
              socket.pipe(upstream)
            })
            upstream.on("error", () => socket.destroy())
            socket.on("error", () => upstream.destroy())
          })
          http.listen(0, "127.0.0.1", () => resume(Effect.succeed(http)))
        }),
        (http) =>
          Effect.sync(() => {
            http.close()
            http.closeAllConnections()
          })
      )
      const config = configOf(server)
      config.clusters[0].cluster["proxy-url"] = `http://127.0.0.1:${(proxy.address() as Net.AddressInfo).port}`
      const write = yield* temporaryDirectory
      const kubernetes = yield* connect({ KUBECONFIG: write("config", JSON.stringify(config)) })
      yield* read(kubernetes)
      assert.deepStrictEqual(asked, [new URL(server.url).host])
      assert.deepStrictEqual(statuses(server), [200])
    })
  )
})

describe("service account", () => {
  const pod = (server: ApiServer, token: string) =>
    Effect.map(temporaryDirectory, (write) => {
      const { hostname, port } = new URL(server.url)
      const serviceAccount = Path.dirname(write("token", token))
      write("ca.crt", server.ca ?? "")
      return {
        write,
        connect: connect({ KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port }, serviceAccount)
      }
    })

  it.effect("is used inside a pod, a new line at the token's end or not", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      for (const token of [server.token, `${server.token}\n`]) {
        const { connect } = yield* pod(server, token)
        yield* read(yield* connect)
      }
      assert.deepStrictEqual(statuses(server), [200, 200])
    })
  )

  it.effect("has a token that rotates: read again when refused, with one more request, on the same connection", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const { connect, write } = yield* pod(server, server.token)
      const kubernetes = yield* connect
      yield* read(kubernetes)
      server.setTokens(["second"])
      write("token", "second")
      server.clearRequests()
      yield* read(kubernetes)
      assert.deepStrictEqual(statuses(server), [401, 200])
      yield* read(kubernetes)
      assert.deepStrictEqual(statuses(server), [401, 200, 200])
      assert.strictEqual(server.connections(), 1)
    })
  )

  it.effect("rotates under many calls at once", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const { connect, write } = yield* pod(server, server.token)
      const kubernetes = yield* connect
      yield* read(kubernetes)
      server.setTokens(["second"])
      write("token", "second")
      server.clearRequests()
      yield* Effect.all(
        Array.from({ length: 20 }, () => read(kubernetes)),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(
        statuses(server).filter((status) => status === 200),
        20
      )
      assert.isAtMost(server.requests().length, 40)
    })
  )

  it.effect("lists through a rotation", () =>
    Effect.gen(function* () {
      const objects = Array.from({ length: 600 }, (_, index) => configMap(`c${index}`))
      const server = yield* TestServer.make({ objects })
      const { connect, write } = yield* pod(server, server.token)
      const kubernetes = yield* connect
      const count = yield* kubernetes.fold(
        resources.configMaps,
        {},
        () => 0,
        (found) => {
          if (found === 300) {
            server.setTokens(["second"])
            write("token", "second")
          }
          return found + 1
        }
      )
      assert.strictEqual(count, 600)
      assert.deepStrictEqual(statuses(server), [200, 200, 401, 200])
    })
  )
})

describe("tokens of a kubeconfig", () => {
  it.effect("from a file that rotates", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const write = yield* temporaryDirectory
      const tokenFile = write("token", `${server.token}\n`)
      const user = { "auth-provider": { name: "file", config: { tokenFile } } }
      const kubernetes = yield* connect({ KUBECONFIG: write("config", asUser(server, user)) })
      yield* read(kubernetes)
      server.setTokens(["second"])
      write("token", "second\n")
      yield* read(kubernetes)
      assert.deepStrictEqual(statuses(server), [200, 401, 200])
    })
  )

  it.effect("in the kubeconfig itself, which somebody writes anew", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const write = yield* temporaryDirectory
      const kubernetes = yield* connect({ KUBECONFIG: write("config", server.kubeconfig) })
      yield* read(kubernetes)
      server.setTokens(["second"])
      write("config", asUser(server, { token: "second" }))
      yield* read(kubernetes)
      assert.deepStrictEqual(statuses(server), [200, 401, 200])
    })
  )

  it.effect("from an exec plugin, which runs once, and once more when its token is refused", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const write = yield* temporaryDirectory
      const credential = (token: string) =>
        JSON.stringify({ apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential", status: { token } })
      const file = write("credential", credential(server.token))
      const log = write("log", "")
      const exec = {
        apiVersion: "client.authentication.k8s.io/v1",
        command: "/bin/sh",
        args: ["-c", `echo "$WHO" >> '${log}'; cat '${file}'`],
        env: [{ name: "WHO", value: "velero" }],
        interactiveMode: "Never"
      }
      const kubernetes = yield* connect({ KUBECONFIG: write("config", asUser(server, { exec })) })
      yield* read(kubernetes)
      yield* read(kubernetes)
      assert.strictEqual(Fs.readFileSync(log, "utf8"), "velero\n")
      server.setTokens(["second"])
      write("credential", credential("second"))
      server.clearRequests()
      yield* read(kubernetes)
      assert.deepStrictEqual(statuses(server), [401, 200])
      assert.strictEqual(Fs.readFileSync(log, "utf8"), "velero\nvelero\n")
    })
  )

  it.effect.each([
    ["fails", { command: "/bin/sh", args: ["-c", "echo please log in >&2; exit 1"] }, "(please log in)"],
    ["is not installed", { command: "/nowhere/aws" }, "ENOENT"]
  ] as const)("an exec plugin that %s is said at once", ([, exec, expected]) =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const write = yield* temporaryDirectory
      const kubernetes = yield* connect({ KUBECONFIG: write("config", asUser(server, { exec })) })
      const error = yield* Effect.flip(read(kubernetes))
      assert.strictEqual(error._tag, "Unavailable")
      assert.include(
        error.message,
        "configmaps shop/a: the Kubernetes API server cannot be reached: there are no credentials ("
      )
      assert.include(error.message, expected)
      assert.include(error.message, "correct what the kubeconfig's current context or the pod mounts")
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      assert.lengthOf(server.requests(), 0)
    })
  )

  it.effect("an exec plugin that never ends is given up at the deadline", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const write = yield* temporaryDirectory
      const exec = { command: "/bin/sh", args: ["-c", "exec sleep 3"] }
      const kubernetes = yield* connect({ KUBECONFIG: write("config", asUser(server, { exec })) })
      const call = yield* watch(Effect.flip(read(kubernetes)))
      yield* until(() => call.waits.length === 1)
      yield* TestClock.adjust("30 seconds")
      assert.match((yield* Fiber.join(call.fiber)).message, /no answer \(gave up after 30s\)$/)
      assert.lengthOf(server.requests(), 0)
    })
  )
})

describe("certificates", () => {
  it.effect("of clients open the door, and nobody else's", () =>
    Effect.gen(function* () {
      const [client, stranger] = yield* Effect.all([makeCertificate(), makeCertificate()])
      const server = yield* standIn(yield* makeCertificate(), emptyObject, { clients: [client] })
      const write = yield* temporaryDirectory
      const as = (name: string, user: Readonly<Record<string, unknown>>) =>
        connect({ KUBECONFIG: write(name, kubeconfig(server, {}, user)) })
      yield* read(yield* as("client", withCertificate(client)))
      assert.strictEqual(server.requests(), 1)
      const error = yield* Effect.flip(read(yield* as("nobody", { token: "any" })))
      assert.match(error.message, /CERTIFICATE_REQUIRED.*; the server does not accept the client certificate; renew it/)
      // Bun is told nothing but that the connection is gone, which may also be the network.
      const call = yield* watch(Effect.flip(read(yield* as("stranger", withCertificate(stranger)))))
      yield* call.passRetry(1)
      yield* until(() => call.waits.length === 3)
      yield* TestClock.adjust("30 seconds")
      assert.match((yield* Fiber.join(call.fiber)).message, /ECONNRESET.*gave up after 30s/)
      assert.strictEqual(server.requests(), 1)
    })
  )

  it.effect("of an exec plugin may change while connections are open", () =>
    Effect.gen(function* () {
      const [first, second] = yield* Effect.all([makeCertificate(), makeCertificate()])
      const certificate = yield* makeCertificate()
      const scope = yield* Scope.make()
      const before = yield* Scope.provide(standIn(certificate, emptyObject, { clients: [first] }), scope)
      const write = yield* temporaryDirectory
      const credential = ({ cert, key }: typeof first) =>
        JSON.stringify({
          status: { clientCertificateData: cert, clientKeyData: key, expirationTimestamp: "2020-01-01T00:00:00Z" }
        })
      const file = write("credential", credential(first))
      const user = { exec: { command: "/bin/cat", args: [file] } }
      const kubernetes = yield* connect({ KUBECONFIG: write("config", kubeconfig(before, {}, user)) })
      yield* read(kubernetes)
      yield* Scope.close(scope, Exit.void)
      const after = yield* standIn(certificate, emptyObject, { clients: [second], port: before.port })
      write("credential", credential(second))
      yield* read(kubernetes)
      assert.strictEqual(after.requests(), 1)
    })
  )

  it.effect("of the authority may change while connections are open", () =>
    Effect.gen(function* () {
      const [first, second] = yield* Effect.all([makeCertificate(), makeCertificate()])
      const scope = yield* Scope.make()
      const before = yield* Scope.provide(standIn(first), scope)
      const write = yield* temporaryDirectory
      const cluster = { "certificate-authority-data": undefined, "certificate-authority": write("ca.crt", first.cert) }
      const kubernetes = yield* connect({ KUBECONFIG: write("config", kubeconfig(before, cluster)) })
      yield* read(kubernetes)
      yield* Scope.close(scope, Exit.void)
      const after = yield* standIn(second, emptyObject, { port: before.port })
      write("ca.crt", second.cert)
      yield* read(kubernetes)
      assert.strictEqual(after.requests(), 1)
    })
  )

  it.effect("of another authority are refused at once, open connections of others or not", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      yield* read(yield* connectTo(server))
      const stranger = yield* makeCertificate()
      const config = configOf(server)
      config.clusters[0].cluster["certificate-authority-data"] = Buffer.from(stranger.cert).toString("base64")
      const write = yield* temporaryDirectory
      const error = yield* Effect.flip(read(yield* connect({ KUBECONFIG: write("config", JSON.stringify(config)) })))
      assert.strictEqual(error._tag, "Unavailable")
      assert.match(
        error.message,
        /^configmaps shop\/a: the Kubernetes API server cannot be reached: \w+SELF_SIGNED_CERT\w*: .*; the configured authority did not sign the server's certificate; correct certificate-authority-data in the kubeconfig$/
      )
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
      assert.deepStrictEqual(statuses(server), [200])
    })
  )

  it.effect("are not looked at where the kubeconfig says so", () =>
    Effect.gen(function* () {
      const server = yield* makeServer
      const config = configOf(server)
      config.clusters[0].cluster = { server: server.url, "insecure-skip-tls-verify": true }
      const write = yield* temporaryDirectory
      yield* read(yield* connect({ KUBECONFIG: write("config", JSON.stringify(config)) }))
      assert.deepStrictEqual(statuses(server), [200])
    })
  )

  it.effect("for another host need its name", () =>
    Effect.gen(function* () {
      const server = yield* standIn(yield* makeCertificate({ host: "kubernetes.internal" }))
      const write = yield* temporaryDirectory
      const error = yield* Effect.flip(read(yield* connect({ KUBECONFIG: write("a", kubeconfig(server)) })))
      assert.match(
        error.message,
        /ALTNAME_INVALID: .*; correct the server in the kubeconfig, or name .* tls-server-name$/
      )
      const named = kubeconfig(server, { "tls-server-name": "kubernetes.internal" })
      yield* read(yield* connect({ KUBECONFIG: write("b", named) }))
      assert.strictEqual(server.requests(), 1)
    })
  )

  it.effect("that have expired are said to have", () =>
    Effect.gen(function* () {
      const server = yield* standIn(yield* makeCertificate({ expired: true }))
      const write = yield* temporaryDirectory
      const error = yield* Effect.flip(read(yield* connect({ KUBECONFIG: write("a", kubeconfig(server)) })))
      assert.match(error.message, /CERT_HAS_EXPIRED: .*; renew the server's certificate, or correct the clock/)
    })
  )

  it.effect("are missing where the server does not speak TLS", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ tls: false, objects: [configMap("a")] })
      const write = yield* temporaryDirectory
      const config = server.kubeconfig.replace("http://", "https://")
      const error = yield* Effect.flip(read(yield* connect({ KUBECONFIG: write("a", config) })))
      assert.match(error.message, /WRONG_VERSION_NUMBER.*; the server does not speak TLS; correct its address/)
    })
  )
})

describe("a process", () => {
  it.live("loads client-node at its first call, and does not grow with a list", () =>
    Effect.gen(function* () {
      const text = "x".repeat(4000)
      const objects = [
        configMap("a", {}, { namespace: "few" }),
        ...Array.from({ length: 20_000 }, (_, index) => configMap(`c${index}`, { text }))
      ]
      const server = yield* TestServer.make({ objects })
      const write = yield* temporaryDirectory
      const output = yield* Effect.callback<string, Error>((resume) => {
        execFile(
          process.execPath,
          [Path.join(import.meta.dirname, "client.ts")],
          { env: { KUBECONFIG: write("config", server.kubeconfig) } },
          (error, stdout) => resume(error === null ? Effect.succeed(stdout) : Effect.fail(error))
        )
      })
      const { after, before, found, grown } = JSON.parse(output) as Record<string, number>
      assert.strictEqual(before, 0)
      assert.isAbove(after ?? 0, 0)
      assert.strictEqual(found, 20_000)
      // The texts alone are 80 MB.
      assert.isBelow(grown ?? Infinity, 50)
    })
  )
})
