import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import type { KubernetesError, KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import { resources } from "../../src/kubernetes/Kubernetes.ts"
import type { ApiServer, Fault } from "../../src/testing/ApiServer.ts"
import * as TestServer from "../../src/testing/ApiServer.ts"
import {
  cluster,
  clusters,
  configMap,
  connect,
  connectTo,
  kubeconfig,
  makeCertificate,
  standIn,
  temporaryDirectory,
  until,
  watch
} from "./support.ts"

const { configMaps, namespaces } = resources

const statuses = (server: ApiServer) => server.requests().map(({ status }) => status)

const nameOf = ({ metadata }: KubernetesObject) => `${metadata?.namespace}/${metadata?.name}`

/** Objects whose names sort as they count. */
const many = (count: number, namespace = "shop") =>
  Array.from({ length: count }, (_, index) =>
    configMap(
      `c${String(index).padStart(5, "0")}`,
      {},
      { namespace, labels: { half: index % 2 === 0 ? "even" : "odd" } }
    )
  )

describe("get", () => {
  it.effect("reads an object, of a custom resource and of the cluster's scope too", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({
        objects: [configMap("a", { x: "1" }), cluster("orders", { instances: 3 })]
      })
      const kubernetes = yield* connectTo(server)
      assert.deepStrictEqual((yield* kubernetes.get(configMaps, "shop", "a"))["data"], { x: "1" })
      assert.deepStrictEqual((yield* kubernetes.get(clusters, "shop", "orders"))["spec"], { instances: 3 })
      assert.strictEqual((yield* kubernetes.get(namespaces, undefined, "shop")).kind, "Namespace")
      assert.deepStrictEqual(
        server.requests().map(({ method, path, userAgent }) => [method, path, userAgent].join(" ")),
        [
          "GET /api/v1/namespaces/shop/configmaps/a velero-plugin-cnpg",
          "GET /apis/postgresql.cnpg.io/v1/namespaces/shop/clusters/orders velero-plugin-cnpg",
          "GET /api/v1/namespaces/shop velero-plugin-cnpg"
        ]
      )
    })
  )

  it.effect("escapes what is no name, instead of asking for something else", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a")] })
      const kubernetes = yield* connectTo(server)
      const error = yield* Effect.flip(kubernetes.get(configMaps, "shop/configmaps/a?x=", "../a"))
      assert.strictEqual(error._tag, "NotFound")
      assert.deepStrictEqual(
        server.requests().map(({ path }) => path),
        ["/api/v1/namespaces/shop%2Fconfigmaps%2Fa%3Fx%3D/configmaps/..%2Fa"]
      )
    })
  )

  it.effect("uses one connection for a hundred reads, and leaves none behind", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a")] })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const kubernetes = yield* connectTo(server)
          for (let read = 0; read < 100; read++) {
            yield* kubernetes.get(configMaps, "shop", "a")
            assert.strictEqual(server.connections(), 1)
          }
        })
      )
      assert.lengthOf(server.requests(), 100)
      yield* until(() => server.connections() === 0)
    })
  )
})

describe("refusals", () => {
  it.effect("names the object that is not there", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [cluster("orders")] })
      const kubernetes = yield* connectTo(server)
      const error = yield* Effect.flip(kubernetes.get(clusters, "shop", "gone"))
      assert.strictEqual(error._tag, "NotFound")
      assert.strictEqual(
        error.message,
        `clusters.postgresql.cnpg.io shop/gone: clusters.postgresql.cnpg.io "gone" not found`
      )
      assert.deepStrictEqual(statuses(server), [404])
    })
  )

  it.effect.each([
    ["a custom resource", { ...clusters, group: "postgresql.example.io" }, "clusters.postgresql.example.io"],
    ["a version", { ...clusters, version: "v2" }, "clusters.postgresql.cnpg.io"],
    ["a built-in resource", { ...configMaps, resource: "configmapz" }, "configmapz"]
  ] as const)("says what is missing where the server does not serve %s", ([, resource, name]) =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [cluster("orders"), configMap("orders")] })
      const kubernetes = yield* connectTo(server)
      const error = yield* Effect.flip(kubernetes.get(resource, "shop", "orders"))
      assert.strictEqual(error._tag, "NotFound")
      assert.strictEqual(
        error.message,
        `${name} shop/orders: the API server does not serve ${name} in version ${resource.version}: install what defines it`
      )
    })
  )

  it.effect("names verb, resource and object of what is forbidden, and what to grant", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [cluster("orders")], authorize: () => false })
      const kubernetes = yield* connectTo(server)
      const message = <A>(effect: Effect.Effect<A, KubernetesError>) =>
        Effect.map(Effect.flip(effect), (error) => error.message)
      assert.strictEqual(
        yield* message(kubernetes.get(clusters, "shop", "orders")),
        `may not get clusters.postgresql.cnpg.io shop/orders (clusters.postgresql.cnpg.io "orders" is forbidden: ` +
          `User "system:serviceaccount:velero:velero" cannot get resource "clusters" in API group "postgresql.cnpg.io" ` +
          `in the namespace "shop"). Grant the verb get on clusters.postgresql.cnpg.io to Velero's service account`
      )
      assert.match(
        yield* message(
          kubernetes.fold(
            configMaps,
            {},
            () => 0,
            (count) => count + 1
          )
        ),
        /^may not list configmaps \(.*\)\. Grant the verb list on configmaps to Velero's service account$/
      )
      assert.match(
        yield* message(kubernetes.apply(configMaps, configMap("a"), { fieldManager: "test", force: true })),
        /^may not apply configmaps shop\/a \(.*\)\. Grant the verbs create and patch on configmaps to Velero's/
      )
      assert.deepStrictEqual(statuses(server), [403, 403, 403])
    })
  )

  it.effect("asks for other credentials where these are unknown, after one more look at them", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a")] })
      const kubernetes = yield* connectTo(server)
      server.setTokens(["another"])
      const error = yield* Effect.flip(kubernetes.get(configMaps, "shop", "a"))
      assert.strictEqual(error._tag, "Forbidden")
      assert.strictEqual(
        error.message,
        "may not get configmaps shop/a (Unauthorized). The API server does not know the credentials: renew the token, or log in again"
      )
      assert.deepStrictEqual(statuses(server), [401, 401])
    })
  )

  it.effect("names what was asked where the server takes offence at it", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a")] })
      const kubernetes = yield* connectTo(server)
      const list = kubernetes.fold(
        configMaps,
        { namespace: "shop", labelSelector: "a,,b" },
        () => 0,
        (count) => count
      )
      const error = yield* Effect.flip(list)
      assert.strictEqual(error._tag, "Rejected")
      assert.match(
        error.message,
        /^the API server refused to list configmaps shop \(400\): unable to parse requirement: /
      )
      assert.deepStrictEqual(statuses(server), [400])
    })
  )

  it.effect("quotes the beginning of an answer that is no Status", () =>
    Effect.gen(function* () {
      const text = `<html>\n  <body>${"no ".repeat(200)}`
      const server = yield* standIn(yield* makeCertificate(), (_, response) => response.writeHead(418).end(text))
      const write = yield* temporaryDirectory
      const kubernetes = yield* connect({ KUBECONFIG: write("kubeconfig", kubeconfig(server)) })
      const error = yield* Effect.flip(kubernetes.get(configMaps, "shop", "a"))
      assert.match(error.message, /^the API server refused to get configmaps shop\/a \(418\): <html> <body>no no /)
      assert.isBelow(error.message.length, 300)
    })
  )
})

describe("what is worth another try", () => {
  it.effect.each<[name: string, answer: Fault["answer"]]>([
    ["429 without a time", { status: 429 }],
    ["500", { status: 500 }],
    ["503", { status: 503 }],
    ["a connection that breaks", "reset"],
    ["JSON that breaks off", "garbage"]
  ])("%s is tried again, a little later each time", ([, answer]) =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a")] })
      const kubernetes = yield* connectTo(server)
      server.addFault({ times: 3, answer })
      const call = yield* watch(kubernetes.get(configMaps, "shop", "a"))
      for (const retry of [1, 2, 3]) yield* call.passRetry(retry)
      assert.strictEqual(nameOf(yield* Fiber.join(call.fiber)), "shop/a")
      assert.strictEqual(server.requests().at(-1)?.status, 200)
      assert.lengthOf(server.requests(), 4)
      const [deadline, ...delays] = call.waits
      assert.strictEqual(deadline, 30_000)
      assert.lengthOf(delays, 3)
      // 200, 400 and 800 ms with a jitter of a fifth.
      for (const [index, delay] of delays.entries()) {
        assert.isAtLeast(delay, 160 * 2 ** index)
        assert.isAtMost(delay, 240 * 2 ** index)
      }
      assert.notDeepEqual(delays, [200, 400, 800])
    })
  )

  it.effect("an answer that breaks off with its connection is tried again", () =>
    Effect.gen(function* () {
      const server = yield* standIn(yield* makeCertificate(), (request, response) => {
        response.writeHead(200, { "content-length": 100 })
        response.write(`{"kind":"ConfigMap","metadata":{"name":"a"`, () => request.socket.destroy())
      })
      const write = yield* temporaryDirectory
      const kubernetes = yield* connect({ KUBECONFIG: write("kubeconfig", kubeconfig(server)) })
      const call = yield* watch(Effect.flip(kubernetes.get(configMaps, "shop", "a")))
      yield* call.passRetry(1)
      yield* until(() => server.requests() === 2)
      yield* TestClock.adjust("30 seconds")
      const error = yield* Fiber.join(call.fiber)
      assert.strictEqual(error._tag, "Unavailable")
      assert.match(error.message, /cannot be reached: ECONNRESET: aborted \(gave up after 30s\)$/)
    })
  )

  it.effect("429 waits for as long as the server asks", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a")] })
      const kubernetes = yield* connectTo(server)
      server.addFault({ times: 1, answer: { status: 429, retryAfter: 7 } })
      const call = yield* watch(kubernetes.get(configMaps, "shop", "a"))
      yield* until(() => call.waits.length === 2)
      assert.deepStrictEqual(call.waits, [30_000, 7000])
      yield* TestClock.adjust("6999 millis")
      yield* call.passRetry(1)
      yield* Fiber.join(call.fiber)
      assert.deepStrictEqual(statuses(server), [429, 200])
    })
  )

  it.effect("a server that is not there is asked again, until the deadline", () =>
    Effect.gen(function* () {
      const gone = yield* Effect.scoped(TestServer.make())
      const kubernetes = yield* connectTo(gone)
      const call = yield* watch(Effect.flip(kubernetes.get(configMaps, "shop", "a")))
      yield* call.passRetry(1)
      yield* call.passRetry(2)
      yield* TestClock.adjust("30 seconds")
      assert.match(
        (yield* Fiber.join(call.fiber)).message,
        /^configmaps shop\/a: the Kubernetes API server cannot be reached: ECONNREFUSED: .* \(gave up after 30s\)$/
      )
    })
  )

  it.effect("waits never more than six seconds, and gives up at the deadline with the last reason", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a")] })
      const kubernetes = yield* connectTo(server)
      server.addFault({ times: 2, answer: "reset" })
      server.addFault({ answer: { status: 503, message: "etcd has no leader" } })
      const call = yield* watch(Effect.flip(kubernetes.get(configMaps, "shop", "a")))
      for (let retry = 1; (yield* Clock.currentTimeMillis) < 29_000; retry++) yield* call.passRetry(retry)
      yield* until(() => call.fiber.pollUnsafe() !== undefined || call.waits.length > server.requests().length)
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(call.fiber)
      assert.strictEqual(error._tag, "Unavailable")
      assert.strictEqual(
        error.message,
        "configmaps shop/a: the Kubernetes API server cannot be reached: 503 etcd has no leader (gave up after 30s)"
      )
      assert.isAtMost(Math.max(...call.waits.slice(1)), 6000)
      assert.isAbove(Math.max(...call.waits.slice(1)), 3000)
      assert.isAtLeast(server.requests().length, 8)
    })
  )

  it.effect("a server that never answers is unavailable at the deadline, and its connection is closed", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a")] })
      const kubernetes = yield* connectTo(server)
      server.addFault({ answer: "hang" })
      const call = yield* watch(Effect.flip(kubernetes.get(configMaps, "shop", "a")))
      yield* until(() => server.requests().length === 1)
      yield* TestClock.adjust("29999 millis")
      assert.isUndefined(call.fiber.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      const error = yield* Fiber.join(call.fiber)
      assert.strictEqual(error._tag, "Unavailable")
      assert.strictEqual(
        error.message,
        "configmaps shop/a: the Kubernetes API server cannot be reached: no answer (gave up after 30s)"
      )
      yield* until(() => server.connections() === 0)
    })
  )

  it.effect.each([
    ["2 seconds", 2000, "2s"],
    ["1 minute", 60_000, "1m"],
    ["soon", 30_000, "30s"]
  ] as const)("KUBERNETES_CALL_TIMEOUT=%s", ([value, millis, printed]) =>
    Effect.gen(function* () {
      const server = yield* TestServer.make()
      const kubernetes = yield* connectTo(server, { KUBERNETES_CALL_TIMEOUT: value })
      server.addFault({ answer: "hang" })
      const call = yield* watch(Effect.flip(kubernetes.get(configMaps, "shop", "a")))
      yield* until(() => server.requests().length === 1)
      assert.deepStrictEqual(call.waits, [millis])
      yield* TestClock.adjust(millis)
      assert.include((yield* Fiber.join(call.fiber)).message, `(gave up after ${printed})`)
    })
  )

  it.effect("each page of a list has a deadline of its own", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: many(500) })
      const kubernetes = yield* connectTo(server)
      server.addFault({ times: 1, answer: { delayMs: 20_000 } })
      const call = yield* watch(
        kubernetes.fold(
          configMaps,
          {},
          () => 0,
          (count) => count + 1
        )
      )
      const slowly = Effect.andThen(Effect.yieldNow, TestClock.adjust("1 second"))
      yield* Effect.repeat(slowly, { until: () => server.requests().length === 1 })
      server.addFault({ times: 1, answer: { delayMs: 20_000 } })
      yield* Effect.repeat(slowly, { until: () => server.requests().length === 2 })
      assert.strictEqual(yield* Fiber.join(call.fiber), 500)
      assert.deepStrictEqual(call.waits, [30_000, 30_000])
    })
  )

  it.effect("an interrupted call closes its connection, whatever it waits for", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a")] })
      const kubernetes = yield* connectTo(server)
      const removeFault = server.addFault({ answer: "hang" })
      const hanging = yield* watch(kubernetes.get(configMaps, "shop", "a"))
      yield* until(() => server.requests().length === 1)
      assert.strictEqual(server.connections(), 1)
      yield* Fiber.interrupt(hanging.fiber)
      yield* until(() => server.connections() === 0)
      removeFault()
      server.addFault({ times: 1, answer: { status: 503 } })
      const retrying = yield* watch(kubernetes.get(configMaps, "shop", "a"))
      yield* until(() => retrying.waits.length === 2)
      yield* Fiber.interrupt(retrying.fiber)
      // The service is none the worse for it.
      assert.strictEqual(nameOf(yield* kubernetes.get(configMaps, "shop", "a")), "shop/a")
      assert.deepStrictEqual(statuses(server), [0, 503, 200])
    })
  )

  it.effect("what the server refuses is not asked twice", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a")] })
      const kubernetes = yield* connectTo(server)
      for (const status of [400, 404, 405, 409, 410, 413, 415, 422]) {
        server.addFault({ times: 1, answer: { status } })
        yield* Effect.flip(kubernetes.get(configMaps, "shop", "a"))
      }
      assert.deepStrictEqual(statuses(server), [400, 404, 405, 409, 410, 413, 415, 422])
    })
  )
})

describe("fold", () => {
  const names = (names: ReadonlyArray<string>, object: KubernetesObject) => [...names, nameOf(object)]
  const none = (): ReadonlyArray<string> => []

  it.effect("takes a list in pages of 250", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: many(1200) })
      const kubernetes = yield* connectTo(server)
      const found = yield* kubernetes.fold(configMaps, { namespace: "shop" }, none, names)
      assert.deepStrictEqual(found, many(1200).map(nameOf))
      assert.deepStrictEqual(
        server.requests().map(({ path, query }) => [path, query["limit"], (query["continue"] ?? "") !== ""]),
        [false, true, true, true, true].map((continued) => ["/api/v1/namespaces/shop/configmaps", "250", continued])
      )
      assert.strictEqual(server.connections(), 1)
    })
  )

  it.effect("selects by namespace and labels, and takes no namespace and an empty one for all", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [...many(4), ...many(3, "other")] })
      const kubernetes = yield* connectTo(server)
      const count = (namespace: string | undefined, labelSelector?: string) =>
        kubernetes.fold(
          configMaps,
          { namespace, ...(labelSelector === undefined ? {} : { labelSelector }) },
          () => 0,
          (found) => found + 1
        )
      assert.strictEqual(yield* count("shop"), 4)
      assert.strictEqual(yield* count("other"), 3)
      assert.strictEqual(yield* count("none"), 0)
      assert.strictEqual(yield* count(undefined), 7)
      assert.strictEqual(yield* count(""), 7)
      assert.strictEqual(yield* count(undefined, "half=odd"), 3)
      assert.strictEqual(yield* count("other", "half=odd"), 1)
      assert.strictEqual(yield* count("other", "half in (odd, even),!x"), 3)
      assert.strictEqual(server.requests().at(-1)?.query["labelSelector"], "half in (odd, even),!x")
    })
  )

  it.effect("gives the objects of built-in kinds their kind, which the server leaves out", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a"), cluster("orders")] })
      const kubernetes = yield* connectTo(server)
      const kinds = (found: ReadonlyArray<string>, { apiVersion, kind }: KubernetesObject) => [
        ...found,
        `${apiVersion} ${kind}`
      ]
      assert.deepStrictEqual(yield* kubernetes.fold(configMaps, {}, none, kinds), ["v1 ConfigMap"])
      assert.deepStrictEqual(yield* kubernetes.fold(clusters, {}, none, kinds), ["postgresql.cnpg.io/v1 Cluster"])
    })
  )

  it.effect("starts again with a new beginning when the list expires half way", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: many(600) })
      const kubernetes = yield* connectTo(server)
      let beginnings = 0
      const found = yield* kubernetes.fold(
        configMaps,
        {},
        (): Array<string> => {
          beginnings++
          return []
        },
        // What a beginning made may be changed.
        (found, object) => {
          found.push(nameOf(object))
          if (beginnings === 1 && found.length === 300) server.expireContinueTokens()
          return found
        }
      )
      assert.deepStrictEqual(found, many(600).map(nameOf))
      assert.strictEqual(beginnings, 2)
      assert.deepStrictEqual(statuses(server), [200, 200, 410, 200, 200, 200])
    })
  )

  it.effect("gives up on a list that expires again and again", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: many(600) })
      const kubernetes = yield* connectTo(server)
      const error = yield* Effect.flip(
        kubernetes.fold(configMaps, { namespace: "shop" }, none, (found, object) => {
          server.expireContinueTokens()
          return names(found, object)
        })
      )
      assert.strictEqual(error._tag, "Unavailable")
      assert.match(
        error.message,
        /^configmaps shop: the Kubernetes API server cannot be reached: the list expired 4 times before its end \(.*\); try again later$/
      )
      assert.deepStrictEqual(statuses(server), [200, 410, 200, 410, 200, 410, 200, 410])
    })
  )

  it.effect("repeats a page that fails, and no other", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: many(600) })
      const kubernetes = yield* connectTo(server)
      const call = yield* watch(
        kubernetes.fold(configMaps, {}, none, (found, object) => {
          if (found.length === 300) server.addFault({ times: 1, answer: { status: 503 } })
          return names(found, object)
        })
      )
      // Deadlines of three pages, and the wait.
      yield* until(() => call.waits.length === 4)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(call.fiber), many(600).map(nameOf))
      assert.deepStrictEqual(statuses(server), [200, 200, 503, 200])
    })
  )

  it.effect("fails with what a later page says", () =>
    Effect.gen(function* () {
      let allowed = 2
      const server = yield* TestServer.make({ objects: many(600), authorize: () => allowed-- > 0 })
      const kubernetes = yield* connectTo(server)
      const error = yield* Effect.flip(kubernetes.fold(configMaps, {}, none, names))
      assert.strictEqual(error._tag, "Forbidden")
      assert.deepStrictEqual(statuses(server), [200, 200, 403])
    })
  )

  it.effect("lets go of the pages that it is done with", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({
        objects: Array.from({ length: 5000 }, (_, index) => cluster(`c${index}`))
      })
      const kubernetes = yield* connectTo(server)
      const seen = yield* kubernetes.fold(
        clusters,
        {},
        (): Array<WeakRef<KubernetesObject>> => [],
        (found, object) => {
          found.push(new WeakRef(object))
          if (found.length === 4750) Bun.gc(true)
          return found
        }
      )
      const alive = seen.filter((reference) => reference.deref() !== undefined)
      assert.lengthOf(seen, 5000)
      // The last two pages, and what the collector is not sure of.
      assert.isAtMost(alive.length, 2000)
    })
  )
})

describe("apply", () => {
  const asTest = { fieldManager: "test", force: false }

  it.effect("makes an object, and changes it the next time", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("other")] })
      const kubernetes = yield* connectTo(server)
      const made = yield* kubernetes.apply(configMaps, configMap("a", { x: "1" }), asTest)
      assert.isString(made.metadata?.["uid"])
      assert.deepStrictEqual(server.get(configMaps, "shop", "a")?.["data"], { x: "1" })
      yield* kubernetes.apply(configMaps, configMap("a", { y: "2" }), asTest)
      // What the same manager no longer names is gone.
      assert.deepStrictEqual(server.get(configMaps, "shop", "a")?.["data"], { y: "2" })
      assert.deepStrictEqual(
        server.requests().map(({ method, path, query, status }) => [method, path, query, status]),
        [201, 200].map((status) => [
          "PATCH",
          "/api/v1/namespaces/shop/configmaps/a",
          { fieldManager: "test", force: "false" },
          status
        ])
      )
    })
  )

  it.effect("leaves alone what others wrote", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a", { theirs: "1" }, { labels: { keep: "it" } })] })
      const kubernetes = yield* connectTo(server)
      const applied = yield* kubernetes.apply(configMaps, configMap("a", { ours: "2" }), asTest)
      assert.deepStrictEqual(applied["data"], { theirs: "1", ours: "2" })
      assert.deepStrictEqual(applied.metadata?.labels, { keep: "it" })
    })
  )

  it.effect("does not take a field from another manager, and says whose it is", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("other")] })
      const kubernetes = yield* connectTo(server)
      yield* kubernetes.apply(configMaps, configMap("a", { x: "1" }), { fieldManager: "gitops", force: false })
      const error = yield* Effect.flip(kubernetes.apply(configMaps, configMap("a", { x: "2" }), asTest))
      assert.strictEqual(error._tag, "Rejected")
      assert.strictEqual(error._tag === "Rejected" ? error.status : 0, 409)
      assert.strictEqual(
        error.message,
        `the API server refused to apply configmaps shop/a (409): Apply failed with 1 conflict: conflict with "gitops": .data.x`
      )
      assert.deepStrictEqual(server.get(configMaps, "shop", "a")?.["data"], { x: "1" })
    })
  )

  it.effect("takes it by force, and owns it from then on", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("other")] })
      const kubernetes = yield* connectTo(server)
      const gitops = { fieldManager: "gitops", force: false }
      yield* kubernetes.apply(configMaps, configMap("a", { x: "1" }), gitops)
      const applied = yield* kubernetes.apply(configMaps, configMap("a", { x: "2" }), { ...asTest, force: true })
      assert.deepStrictEqual(applied["data"], { x: "2" })
      const error = yield* Effect.flip(kubernetes.apply(configMaps, configMap("a", { x: "3" }), gitops))
      assert.match(error.message, /conflict with "test": \.data\.x$/)
    })
  )

  it.effect("is not found where the namespace is missing", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("a")] })
      const kubernetes = yield* connectTo(server)
      const object = configMap("a", {}, { namespace: "gone" })
      const error = yield* Effect.flip(kubernetes.apply(configMaps, object, asTest))
      assert.strictEqual(error._tag, "NotFound")
      assert.strictEqual(error.message, `configmaps gone/a: namespaces "gone" not found`)
    })
  )

  it.effect("sends text and numbers as they are written", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("other")] })
      const kubernetes = yield* connectTo(server)
      const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown }
      const spec = { big: rawJSON("9223372036854775807"), ratio: rawJSON("1.0"), text: "ä € 😀 \u2028" }
      yield* kubernetes.apply(clusters, cluster("orders", spec), asTest)
      assert.strictEqual(
        JSON.stringify(server.get(clusters, "shop", "orders")?.["spec"]),
        `{"big":9223372036854775807,"ratio":1.0,"text":"ä € 😀 \u2028"}`
      )
    })
  )

  it.effect("is tried again like a read: the same apply twice is one", () =>
    Effect.gen(function* () {
      const server = yield* TestServer.make({ objects: [configMap("other")] })
      const kubernetes = yield* connectTo(server)
      server.addFault({ times: 1, method: "PATCH", answer: "reset" })
      const call = yield* watch(kubernetes.apply(configMaps, configMap("a", { x: "1" }), asTest))
      yield* call.passRetry(1)
      yield* Fiber.join(call.fiber)
      assert.deepStrictEqual(statuses(server), [0, 201])
    })
  )
})
