import { KubeConfig } from "@kubernetes/client-node"
import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import * as http from "node:http"
import * as https from "node:https"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as FieldOwners from "../../src/testing/api-server/FieldOwners.ts"
import type { Tree } from "../../src/testing/api-server/Tree.ts"

class Unanswered extends Data.TaggedError("Unanswered")<{ readonly code: string | undefined }> {}

interface CallOptions {
  readonly body?: unknown
  readonly type?: string
  readonly token?: string | undefined
  readonly userAgent?: string
  readonly agent?: https.Agent | http.Agent
  readonly ca?: string
}

interface Reply {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
  /** The body as a JSON object; empty if it is none. */
  readonly json: Tree
}

/** What is at a path of a reply's body. */
const at = ({ json }: { readonly json: unknown }, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>((value, key) => (value as Readonly<Record<string | number, unknown>> | undefined)?.[key], json)

const call = (server: ApiServer.ApiServer, method: string, path: string, options: CallOptions = {}) =>
  Effect.callback<Reply, Unanswered>((resume) => {
    const token = "token" in options ? options.token : server.token
    const fail = (error: Error & { readonly code?: string }) =>
      resume(Effect.fail(new Unanswered({ code: error.code })))
    const ca = options.ca ?? server.ca
    const body =
      typeof options.body === "string" || options.body === undefined ? options.body : JSON.stringify(options.body)
    const request = (server.ca === undefined ? http : https).request(
      server.url + path,
      {
        method,
        agent: options.agent ?? false,
        ...(ca === undefined ? {} : { ca }),
        headers: {
          ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
          // Without its length Bun does not send the body of a DELETE.
          ...(body === undefined
            ? {}
            : { "Content-Type": options.type ?? "application/json", "Content-Length": Buffer.byteLength(body) }),
          "User-Agent": options.userAgent ?? "test/1.0 (linux)"
        }
      },
      (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("error", fail)
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString("utf8")
          const json = Result.try(() => JSON.parse(text) as Tree)
          resume(
            Effect.succeed({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text,
              json: Result.isSuccess(json) ? json.success : {}
            })
          )
        })
      }
    )
    request.on("error", fail)
    request.end(body)
    return Effect.sync(() => request.destroy())
  })

const configMaps = "/api/v1/namespaces/shop/configmaps"
const clusters = "/apis/postgresql.cnpg.io/v1/namespaces/shop/clusters"
const clusterResource = ApiServer.resourceOfKind("postgresql.cnpg.io/v1", "Cluster")
const configMapResource = ApiServer.resourceOfKind("v1", "ConfigMap")

const namespace = (name: string): ApiServer.KubernetesObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name }
})

const configMap = (
  name: string,
  data: Readonly<Record<string, unknown>> = {},
  metadata: ApiServer.ObjectMeta = {}
): ApiServer.KubernetesObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "shop", ...metadata },
  data
})

const cluster = (name: string, spec: unknown = {}): ApiServer.KubernetesObject => ({
  apiVersion: "postgresql.cnpg.io/v1",
  kind: "Cluster",
  metadata: { name, namespace: "shop" },
  spec
})

const apply = (
  server: ApiServer.ApiServer,
  path: string,
  manager: string,
  body: unknown,
  query = ""
): Effect.Effect<Reply, Unanswered> =>
  call(server, "PATCH", `${path}?fieldManager=${manager}${query}`, { body, type: "application/apply-patch+yaml" })

const merge = (server: ApiServer.ApiServer, path: string, body: unknown, options: CallOptions = {}) =>
  call(server, "PATCH", path, { ...options, body, type: "application/merge-patch+json" })

const names = (reply: Reply): ReadonlyArray<unknown> =>
  (at(reply, "items") as ReadonlyArray<ApiServer.KubernetesObject>).map(({ metadata }) => metadata.name)

/** `manager operation fields`, of one object. */
const owners = (object: ApiServer.KubernetesObject | undefined): ReadonlyArray<string> =>
  (
    (object?.metadata["managedFields"] ?? []) as ReadonlyArray<{
      readonly manager: string
      readonly operation: string
      readonly fieldsV1: unknown
    }>
  ).map(({ fieldsV1, manager, operation }) => `${manager} ${operation} ${JSON.stringify(fieldsV1)}`)

const assertStatus = (reply: Reply, status: number, reason: string, message: string): void => {
  assert.deepStrictEqual(
    [reply.status, at(reply, "kind"), at(reply, "status"), at(reply, "code"), at(reply, "reason")],
    [status, "Status", "Failure", status, reason]
  )
  assert.strictEqual(at(reply, "message"), message)
}

describe("connections", () => {
  it.effect("answers over TLS, to clients that trust its certificate", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make()
      const other = yield* ApiServer.make()
      assert.match(server.url, /^https:\/\/127\.0\.0\.1:\d+$/)
      assert.strictEqual((yield* call(server, "GET", "/readyz")).text, "ok")
      const error = yield* Effect.flip(call(server, "GET", "/readyz", { ca: other.ca ?? "" }))
      assert.match(error.code ?? "", /SELF_SIGNED|VERIFY/)
    })
  )

  it.effect("answers without TLS when told to", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ tls: false })
      assert.strictEqual(server.ca, undefined)
      assert.match(server.url, /^http:/)
      assert.strictEqual(at(yield* call(server, "GET", "/version"), "gitVersion"), "v1.34.0")
    })
  )

  it.effect("counts connections, which clients may keep", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1 })
      yield* Effect.addFinalizer(() => Effect.sync(() => agent.destroy()))
      assert.strictEqual(server.connections(), 0)
      for (let i = 0; i < 20; i++) assert.strictEqual((yield* call(server, "GET", configMaps, { agent })).status, 200)
      assert.strictEqual(server.connections(), 1)
    })
  )

  for (const tls of [true, false]) {
    it.effect(`ends everything with its scope, hanging requests included (tls: ${tls})`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const server = yield* ApiServer.make({ tls }).pipe(Scope.provide(scope))
        server.addFault({ path: /hang/, answer: "hang" })
        server.addFault({ path: /slow/, answer: { delayMs: 60_000 } })
        const hanging = yield* Effect.forEach(["/hang", "/slow", "/hang"], (path) =>
          Effect.forkChild(Effect.flip(call(server, "GET", path)))
        )
        // They are hanging once the server has seen two of them; the third waits for the clock.
        yield* Effect.yieldNow.pipe(
          Effect.andThen(call(server, "GET", "/readyz")),
          Effect.repeat({
            until: () =>
              server.requests().filter(({ status }) => status === 0).length === 2 && server.connections() >= 3
          })
        )
        yield* Scope.close(scope, Exit.void)
        for (const fiber of hanging) assert.strictEqual((yield* Fiber.join(fiber)).code, "ECONNRESET")
        assert.strictEqual(server.connections(), 0)
        assert.strictEqual((yield* Effect.flip(call(server, "GET", "/readyz"))).code, "ECONNREFUSED")
      })
    )
  }

  it.effect("records what it answered", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make()
      const { text } = yield* call(server, "GET", "/api/v1/pods?limit=5&labelSelector=a%3Db", { userAgent: "velero/1" })
      assert.deepStrictEqual(server.requests(), [
        {
          method: "GET",
          path: "/api/v1/pods",
          query: { limit: "5", labelSelector: "a=b" },
          status: 200,
          responseBytes: Buffer.byteLength(text),
          userAgent: "velero/1"
        }
      ])
      server.clearRequests()
      assert.deepStrictEqual(server.requests(), [])
    })
  )

  it.effect("writes a kubeconfig that client-node accepts", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [configMap("a")] })
      const kubeConfig = new KubeConfig()
      kubeConfig.loadFromString(server.kubeconfig)
      assert.strictEqual(kubeConfig.getCurrentCluster()?.server, server.url)
      const options: https.RequestOptions = {}
      yield* Effect.promise(() => kubeConfig.applyToHTTPSOptions(options))
      const status = yield* Effect.callback<number | undefined, Unanswered>((resume) => {
        https
          .get(server.url + configMaps, options, (response) => {
            response.resume()
            resume(Effect.succeed(response.statusCode))
          })
          .on("error", () => resume(Effect.fail(new Unanswered({ code: undefined }))))
      })
      assert.strictEqual(status, 200)
    })
  )

  it.effect("rotates tokens", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      server.setTokens(["second", "third"])
      assertStatus(yield* call(server, "GET", configMaps), 401, "Unauthorized", "Unauthorized")
      assertStatus(yield* call(server, "GET", configMaps, { token: undefined }), 401, "Unauthorized", "Unauthorized")
      assert.strictEqual((yield* call(server, "GET", configMaps, { token: "second" })).status, 200)
      assert.strictEqual((yield* call(server, "GET", configMaps, { token: "third" })).status, 200)
      assert.strictEqual((yield* call(server, "GET", "/readyz", { token: undefined })).status, 200)
      assert.strictEqual((yield* call(server, "GET", "/readyz")).status, 401)
    })
  )
})

describe("paths and permissions", () => {
  it.effect("tells what is not there from what nobody serves", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      const missing = yield* call(server, "GET", `${clusters}/x`)
      assertStatus(missing, 404, "NotFound", 'clusters.postgresql.cnpg.io "x" not found')
      assert.deepStrictEqual(at(missing, "details"), {
        name: "x",
        group: "postgresql.cnpg.io",
        kind: "clusters"
      })
      assertStatus(yield* call(server, "GET", `${configMaps}/x`), 404, "NotFound", 'configmaps "x" not found')
      const noResource = "the server could not find the requested resource"
      assertStatus(yield* call(server, "GET", "/api/v1/namespaces/shop/foos"), 404, "NotFound", noResource)
      assertStatus(
        yield* call(server, "GET", "/apis/apps/v1/namespaces/shop/deployments/x/scale"),
        404,
        "NotFound",
        noResource
      )
      for (const path of [
        "/apis/unknown.io/v1/foos",
        "/apis/postgresql.cnpg.io/v2/clusters",
        "/nothing",
        "//",
        "/apis/x.io"
      ]) {
        const reply = yield* call(server, "GET", path)
        assert.deepStrictEqual([path, reply.status, reply.text], [path, 404, "404 page not found\n"])
        assert.match(reply.headers["content-type"] ?? "", /^text\/plain/)
      }
    })
  )

  it.effect("refuses methods, media types and bodies that it does not know", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [configMap("a")] })
      const notAllowed = "the server does not allow this method on the requested resource"
      for (const [method, path] of [
        ["POST", `${configMaps}/a`],
        ["PUT", configMaps],
        ["DELETE", configMaps],
        ["POST", "/api/v1/configmaps"],
        ["GET", `${configMaps}?watch=true`],
        ["OPTIONS", configMaps]
      ] as const) {
        assertStatus(yield* call(server, method, path, { body: {} }), 405, "MethodNotAllowed", notAllowed)
      }
      for (const type of ["application/json-patch+json", "application/strategic-merge-patch+json"]) {
        const reply = yield* call(server, "PATCH", `${configMaps}/a`, { body: [], type })
        assert.deepStrictEqual([reply.status, at(reply, "reason")], [415, "UnsupportedMediaType"])
      }
      assert.strictEqual((yield* call(server, "POST", configMaps, { body: "x", type: "application/yaml" })).status, 415)
      assert.strictEqual(at(yield* call(server, "POST", configMaps, { body: "{" }), "reason"), "BadRequest")
      assert.strictEqual((yield* call(server, "POST", configMaps, { body: "[]" })).status, 400)
      assert.strictEqual((yield* call(server, "GET", "/api/v1/namespaces/%zz/pods")).status, 400)
    })
  )

  it.effect("asks for permission, in Kubernetes' words", () =>
    Effect.gen(function* () {
      const asked: Array<ApiServer.Attributes> = []
      const server = yield* ApiServer.make({
        objects: [namespace("shop")],
        authorize: (attributes) => {
          asked.push(attributes)
          return attributes.verb === "patch"
        }
      })
      const user = 'User "system:serviceaccount:velero:velero"'
      const shop = 'in the namespace "shop"'
      const denied = yield* call(server, "GET", `${clusters}/x`)
      assertStatus(
        denied,
        403,
        "Forbidden",
        `clusters.postgresql.cnpg.io "x" is forbidden: ${user} cannot get resource "clusters" in API group "postgresql.cnpg.io" ${shop}`
      )
      assertStatus(
        yield* call(server, "GET", configMaps),
        403,
        "Forbidden",
        `configmaps is forbidden: ${user} cannot list resource "configmaps" in API group "" ${shop}`
      )
      assertStatus(
        yield* call(server, "GET", "/api/v1/configmaps"),
        403,
        "Forbidden",
        `configmaps is forbidden: ${user} cannot list resource "configmaps" in API group "" at the cluster scope`
      )
      // An apply that would create asks for both.
      assertStatus(
        yield* apply(server, `${configMaps}/a`, "m", configMap("a")),
        403,
        "Forbidden",
        `configmaps "a" is forbidden: ${user} cannot create resource "configmaps" in API group "" ${shop}`
      )
      assert.deepStrictEqual(
        asked.map(({ verb }) => verb),
        ["get", "list", "list", "patch", "create"]
      )
      assert.deepStrictEqual(asked[0], {
        verb: "get",
        group: "postgresql.cnpg.io",
        resource: "clusters",
        namespace: "shop",
        name: "x"
      })
      assert.strictEqual(server.get(configMapResource, "shop", "a"), undefined)
    })
  )

  it.effect("answers a defect of authorize", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({
        authorize: () => {
          throw new TypeError("oops")
        }
      })
      assertStatus(yield* call(server, "GET", configMaps), 500, "InternalError", "TypeError: oops")
    })
  )

  it.effect("offers discovery", () =>
    Effect.gen(function* () {
      const widget = { group: "example.io", version: "v1", resource: "widgets", kind: "Widget", namespaced: false }
      const server = yield* ApiServer.make({ resources: [widget] })
      assert.deepStrictEqual(at(yield* call(server, "GET", "/api"), "versions"), ["v1"])
      const groups = at(yield* call(server, "GET", "/apis"), "groups") as ReadonlyArray<unknown>
      assert.deepInclude(groups, {
        name: "velero.io",
        versions: [
          { groupVersion: "velero.io/v1", version: "v1" },
          { groupVersion: "velero.io/v2alpha1", version: "v2alpha1" }
        ],
        preferredVersion: { groupVersion: "velero.io/v1", version: "v1" }
      })
      assert.strictEqual(at(yield* call(server, "GET", "/apis/apps"), "kind"), "APIGroup")
      const core = at(yield* call(server, "GET", "/api/v1"), "resources") as ReadonlyArray<Tree>
      assert.strictEqual(core.find((it) => it["name"] === "pods")?.["kind"], "Pod")
      const widgets = yield* call(server, "GET", "/apis/example.io/v1")
      assert.strictEqual(at(widgets, "groupVersion"), "example.io/v1")
      assert.deepStrictEqual(at(widgets, "resources", 0), {
        name: "widgets",
        singularName: "widget",
        namespaced: false,
        kind: "Widget",
        verbs: ["create", "delete", "get", "list", "patch", "update"]
      })
    })
  )
})

describe("objects put by hand", () => {
  it.effect("keeps what it is given", () =>
    Effect.gen(function* () {
      const given = {
        ...cluster("orders", { instances: 3 }),
        metadata: { name: "orders", namespace: "shop", uid: "u-1", resourceVersion: "7", annotations: { a: "b" } },
        status: { phase: "healthy" }
      }
      const server = yield* ApiServer.make({ objects: [given] })
      const stored = server.get(clusterResource, "shop", "orders")
      const { creationTimestamp, resourceVersion, ...metadata } = stored?.metadata ?? {}
      assert.deepStrictEqual(
        { ...stored, metadata },
        { ...given, metadata: { name: "orders", namespace: "shop", uid: "u-1", annotations: { a: "b" } } }
      )
      assert.strictEqual(creationTimestamp, "1970-01-01T00:00:00Z")
      assert.match(resourceVersion ?? "", /^\d+$/)
      assert.notStrictEqual(resourceVersion, "7")
      assert.deepStrictEqual(
        server.all().map(({ kind }) => kind),
        ["Namespace", "Cluster"]
      )
    })
  )

  it.effect("keeps the uid of what it replaces, and its own copy", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make()
      const data = { k: "1" }
      server.put(configMap("a", data))
      const before = server.get(configMapResource, "shop", "a")
      data.k = "2"
      assert.deepStrictEqual(before?.["data"], { k: "1" })
      server.put(configMap("a", data))
      const after = server.get(configMapResource, "shop", "a")
      assert.deepStrictEqual(after?.["data"], { k: "2" })
      assert.strictEqual(after?.metadata.uid, before?.metadata.uid)
      assert.isAbove(Number(after?.metadata.resourceVersion), Number(before?.metadata.resourceVersion))
    })
  )

  it.effect("derives the resources of kinds that it does not know", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({
        objects: [
          { apiVersion: "example.io/v1beta1", kind: "Policy", metadata: { name: "p", namespace: "shop" } },
          { apiVersion: "example.io/v1beta1", kind: "Box", metadata: { name: "b" } },
          { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c" } }
        ]
      })
      const path = "/apis/example.io/v1beta1/namespaces/shop/policies/p"
      assert.strictEqual(at(yield* call(server, "GET", path), "kind"), "Policy")
      assert.deepStrictEqual(names(yield* call(server, "GET", "/apis/example.io/v1beta1/boxes")), ["b"])
      assert.strictEqual((yield* call(server, "GET", "/api/v1/namespaces/default/configmaps/c")).status, 200)
    })
  )

  it.effect("refuses what is no object", () =>
    Effect.gen(function* () {
      const nameless = { apiVersion: "v1", kind: "Pod", metadata: {} }
      const error = yield* Effect.flip(ApiServer.make({ objects: [nameless] }))
      assert.strictEqual(error.reason, "objects")
      assert.include(error.message, "needs apiVersion, kind and metadata.name: v1 Pod (no metadata.name)")
      const server = yield* ApiServer.make()
      assert.throws(() => server.put(nameless), TypeError)
    })
  )

  it("knows resources by kind", () => {
    const plural = (apiVersion: string, kind: string) => ApiServer.resourceOfKind(apiVersion, kind).resource
    assert.deepStrictEqual(clusterResource, {
      group: "postgresql.cnpg.io",
      version: "v1",
      resource: "clusters",
      kind: "Cluster",
      namespaced: true
    })
    assert.isFalse(ApiServer.resourceOfKind("postgresql.cnpg.io/v1", "ClusterImageCatalog").namespaced)
    assert.strictEqual(plural("v1", "Endpoints"), "endpoints")
    assert.strictEqual(plural("networking.k8s.io/v1", "Ingress"), "ingresses")
    assert.strictEqual(plural("example.io/v1", "Gateway"), "gateways")
    assert.strictEqual(plural("example.io/v1", "Proxy"), "proxies")
    assert.deepStrictEqual(ApiServer.resourceOfKind("v9", "Thing"), {
      group: "",
      version: "v9",
      resource: "things",
      kind: "Thing",
      namespaced: true
    })
    const ids = ApiServer.builtInResources.map(({ group, resource, version }) => `${group}/${version}/${resource}`)
    assert.strictEqual(new Set(ids).size, ids.length)
  })
})

describe("LIST", () => {
  const many = Array.from({ length: 1200 }, (_, index) => cluster(`c-${String(index).padStart(4, "0")}`))

  it.effect("pages through 1,200 objects as they were at the first page", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: many })
      const found: Array<unknown> = []
      const pages: Array<unknown> = []
      let token: unknown = ""
      do {
        const path = `${clusters}?limit=500&continue=${encodeURIComponent(String(token))}`
        const reply = yield* call(server, "GET", path)
        assert.strictEqual(reply.status, 200, reply.text)
        found.push(...names(reply))
        pages.push([at(reply, "metadata", "remainingItemCount"), at(reply, "metadata", "resourceVersion")])
        token = at(reply, "metadata", "continue")
        // Neither of these may show up in later pages.
        server.remove(clusterResource, "shop", "c-0700")
        server.put(cluster("c-0600-new"))
      } while (token !== undefined)
      assert.deepStrictEqual(
        found,
        many.map(({ metadata }) => metadata.name)
      )
      const version = server.get(clusterResource, "shop", "c-1199")?.metadata.resourceVersion
      assert.deepStrictEqual(pages, [
        [700, version],
        [200, version],
        [undefined, version]
      ])
      const now = names(yield* call(server, "GET", clusters))
      assert.strictEqual(now.length, 1200)
      assert.include(now, "c-0600-new")
    })
  )

  it.effect("answers 410 when a list expired, and continues it inconsistently", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: many.slice(0, 5) })
      const first = yield* call(server, "GET", `${clusters}?limit=2`)
      server.put(cluster("c-0002-new"))
      server.expireContinueTokens()
      const gone = yield* call(
        server,
        "GET",
        `${clusters}?limit=2&continue=${String(at(first, "metadata", "continue"))}`
      )
      assert.deepStrictEqual([gone.status, at(gone, "reason"), at(gone, "code")], [410, "Expired", 410])
      assert.match(
        String(at(gone, "message")),
        /^The provided continue parameter is too old to display a consistent list/
      )
      const rest = yield* call(server, "GET", `${clusters}?continue=${String(at(gone, "metadata", "continue"))}`)
      assert.deepStrictEqual(names(rest), ["c-0002", "c-0002-new", "c-0003", "c-0004"])
      const bad = yield* call(server, "GET", `${clusters}?continue=nonsense`)
      assert.match(String(at(bad, "message")), /^continue key is not valid/)
      assert.strictEqual(bad.status, 400)
    })
  )

  it.effect("lists one namespace or all, custom resources with their kind and built-in ones without", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({
        objects: [configMap("b"), configMap("a"), configMap("c", {}, { namespace: "other" }), cluster("d")]
      })
      const all = yield* call(server, "GET", "/api/v1/configmaps")
      assert.deepStrictEqual([at(all, "kind"), at(all, "apiVersion")], ["ConfigMapList", "v1"])
      assert.deepStrictEqual(names(all), ["c", "a", "b"])
      assert.notProperty(at(all, "items", 0), "kind")
      assert.deepStrictEqual(names(yield* call(server, "GET", configMaps)), ["a", "b"])
      assert.deepStrictEqual(names(yield* call(server, "GET", "/api/v1/namespaces/none/configmaps")), [])
      assert.deepStrictEqual(names(yield* call(server, "GET", "/api/v1/namespaces")), ["other", "shop"])
      const custom = yield* call(server, "GET", "/apis/postgresql.cnpg.io/v1/clusters")
      assert.strictEqual(at(custom, "items", 0, "kind"), "Cluster")
    })
  )

  it.effect.each([
    ["app=web", ["a", "b"]],
    ["app==web", ["a", "b"]],
    ["app = web , tier=back", ["b"]],
    ["app!=web", ["c", "d"]],
    ["app", ["a", "b", "c"]],
    ["!app", ["d"]],
    ["app in (web, db)", ["a", "b", "c"]],
    ["app in (db),tier", ["c"]],
    ["app notin (web,db)", ["d"]],
    ["tier=", ["c"]],
    ["tier in ()", ["c"]],
    ["n>5", ["b"]],
    ["n<5", ["a"]],
    ["", ["a", "b", "c", "d"]]
  ] as const)("labelSelector %s", ([selector, expected]) =>
    Effect.gen(function* () {
      const labelled = (name: string, labels: Record<string, string>) => configMap(name, {}, { labels })
      const server = yield* ApiServer.make({
        tls: false,
        objects: [
          labelled("a", { app: "web", tier: "front", n: "3" }),
          labelled("b", { app: "web", tier: "back", n: "10" }),
          labelled("c", { app: "db", tier: "" }),
          configMap("d")
        ]
      })
      const reply = yield* call(server, "GET", `${configMaps}?labelSelector=${encodeURIComponent(selector)}`)
      assert.deepStrictEqual(names(reply), [...expected])
    })
  )

  it.effect("selects fields, combines selectors with pages, and refuses what it cannot read", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({
        tls: false,
        objects: ["a", "b", "c", "d"].flatMap((name) =>
          ["shop", "other"].map((namespace) =>
            configMap(name, {}, { namespace, labels: { odd: String(name !== "b") } })
          )
        )
      })
      const list = (query: Record<string, string>) =>
        call(server, "GET", `/api/v1/configmaps?${new URLSearchParams(query).toString()}`)
      assert.deepStrictEqual(names(yield* list({ fieldSelector: "metadata.name=a,metadata.namespace!=other" })), ["a"])
      const page = yield* list({ fieldSelector: "metadata.namespace==shop", labelSelector: "odd=true", limit: "2" })
      assert.deepStrictEqual(names(page), ["a", "c"])
      // The server does not count what it has not looked at.
      assert.notProperty(at(page, "metadata"), "remainingItemCount")
      const next = String(at(page, "metadata", "continue"))
      const rest = yield* list({ fieldSelector: "metadata.namespace==shop", labelSelector: "odd=true", continue: next })
      assert.deepStrictEqual(names(rest), ["d"])
      for (const query of [
        { labelSelector: "a=b=c" },
        { labelSelector: "a in b" },
        { labelSelector: "a,,b" },
        { labelSelector: "a in (b c)" },
        { fieldSelector: "spec.nodeName=x" },
        { fieldSelector: "metadata.name" },
        { limit: "many" }
      ]) {
        const reply = yield* list(query)
        assert.deepStrictEqual([query, reply.status, at(reply, "reason")], [query, 400, "BadRequest"])
      }
    })
  )
})

describe("writes", () => {
  it.effect("creates, with what a server adds", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      yield* TestClock.setTime(1_700_000_000_000)
      const reply = yield* call(server, "POST", clusters, {
        body: { ...cluster("orders", { instances: 3 }), metadata: { name: "orders", uid: "mine", generation: 9 } },
        userAgent: "velero-server/v1.18 (linux/amd64)"
      })
      assert.strictEqual(reply.status, 201)
      assert.deepStrictEqual(reply.json, {
        apiVersion: "postgresql.cnpg.io/v1",
        kind: "Cluster",
        metadata: {
          name: "orders",
          namespace: "shop",
          uid: "00000000-0000-4000-8000-000000000002",
          resourceVersion: "3",
          generation: 1,
          creationTimestamp: "2023-11-14T22:13:20Z",
          managedFields: [
            {
              manager: "velero-server",
              operation: "Update",
              apiVersion: "postgresql.cnpg.io/v1",
              time: "2023-11-14T22:13:20Z",
              fieldsType: "FieldsV1",
              fieldsV1: { "f:spec": { "f:instances": {} } }
            }
          ]
        },
        spec: { instances: 3 }
      })
      assertStatus(
        yield* call(server, "POST", clusters, { body: cluster("orders") }),
        409,
        "AlreadyExists",
        'clusters.postgresql.cnpg.io "orders" already exists'
      )
    })
  )

  it.effect("generates names", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      const post = (metadata: unknown) =>
        call(server, "POST", configMaps, { body: { ...configMap("x"), metadata } }).pipe(
          Effect.map((reply) => String(at(reply, "metadata", "name")))
        )
      const generated = [yield* post({ generateName: "run-" }), yield* post({ generateName: "run-" })]
      for (const name of generated) assert.match(name, /^run-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
      assert.notStrictEqual(generated[0], generated[1])
      const nameless = yield* call(server, "POST", configMaps, { body: { apiVersion: "v1", kind: "ConfigMap" } })
      assertStatus(
        nameless,
        422,
        "Invalid",
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'
      )
    })
  )

  it.effect("needs the namespace, unless it may make it", () =>
    Effect.gen(function* () {
      const strict = yield* ApiServer.make()
      const message = 'namespaces "shop" not found'
      assertStatus(yield* call(strict, "POST", configMaps, { body: configMap("a") }), 404, "NotFound", message)
      const applied = yield* apply(strict, `${configMaps}/a`, "m", configMap("a"))
      assertStatus(applied, 404, "NotFound", message)
      assert.deepStrictEqual(at(applied, "details"), { name: "shop", kind: "namespaces" })
      const lenient = yield* ApiServer.make({ createNamespaces: true })
      assert.strictEqual((yield* call(lenient, "POST", configMaps, { body: configMap("a") })).status, 201)
      assert.deepStrictEqual(
        lenient.all().map(({ kind }) => kind),
        ["Namespace", "ConfigMap"]
      )
    })
  )

  it.effect("refuses bodies that contradict the URL, and versions at a create", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [configMap("a")] })
      const post = (body: unknown) => call(server, "POST", configMaps, { body })
      const put = (body: unknown) => call(server, "PUT", `${configMaps}/a`, { body })
      assertStatus(
        yield* post(configMap("b", {}, { namespace: "other" })),
        400,
        "BadRequest",
        "the namespace of the provided object does not match the namespace sent on the request"
      )
      assertStatus(
        yield* post(cluster("b")),
        400,
        "BadRequest",
        "the API version in the data (postgresql.cnpg.io/v1) does not match the expected API version (v1)"
      )
      assert.match(
        String(at(yield* post({ ...configMap("b"), kind: "Secret" }), "message")),
        /^Secret in version "v1" cannot be handled as a ConfigMap/
      )
      assertStatus(
        yield* put(configMap("b")),
        400,
        "BadRequest",
        "the name of the object (b) does not match the name on the URL (a)"
      )
      const versioned = yield* post(configMap("b", {}, { resourceVersion: "5" }))
      assert.deepStrictEqual(
        [versioned.status, at(versioned, "message")],
        [500, "resourceVersion should not be set on objects to be created"]
      )
    })
  )

  it.effect("replaces what has not changed since, and counts generations", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      const created = yield* call(server, "POST", clusters, { body: cluster("a", { n: 1 }) })
      const version = String(at(created, "metadata", "resourceVersion"))
      const put = (resourceVersion: string | undefined, rest: Tree) =>
        call(server, "PUT", `${clusters}/a`, {
          body: {
            ...cluster("a"),
            ...rest,
            metadata: { name: "a", ...(resourceVersion === undefined ? {} : { resourceVersion }) }
          }
        })
      const meta = (reply: Reply) => at(reply, "metadata") as ApiServer.ObjectMeta
      const same = yield* put(version, { spec: { n: 1 } })
      assert.deepStrictEqual(same.json, created.json)
      const status = yield* put(version, { spec: { n: 1 }, status: { phase: "up" } })
      assert.strictEqual(meta(status).generation, 1)
      const changed = yield* put(meta(status).resourceVersion, { spec: { n: 2 } })
      assert.strictEqual(meta(changed).generation, 2)
      assert.strictEqual(meta(changed).uid, at(created, "metadata", "uid"))
      assertStatus(
        yield* put(version, { spec: { n: 3 } }),
        409,
        "Conflict",
        'Operation cannot be fulfilled on clusters.postgresql.cnpg.io "a": the object has been modified; please apply your changes to the latest version and try again'
      )
      assertStatus(
        yield* put(undefined, { spec: { n: 3 } }),
        422,
        "Invalid",
        'clusters.postgresql.cnpg.io "a" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be specified for an update'
      )
      server.put(configMap("c", { k: "1" }))
      const builtIn = yield* call(server, "PUT", `${configMaps}/c`, { body: configMap("c", { k: "2" }) })
      assert.strictEqual(builtIn.status, 200)
      assert.notProperty(at(builtIn, "metadata"), "generation")
      assert.strictEqual((yield* call(server, "PUT", `${configMaps}/none`, { body: configMap("none") })).status, 404)
      const uid = yield* call(server, "PUT", `${configMaps}/c`, { body: configMap("c", {}, { uid: "other" }) })
      assert.strictEqual(at(uid, "reason"), "Conflict")
    })
  )

  it.effect("merges patches", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({
        objects: [configMap("a", { keep: "1", drop: "2" }, { labels: { l: "1" } })]
      })
      const path = `${configMaps}/a`
      const reply = yield* merge(server, path, {
        data: { drop: null, add: { nested: [1] } },
        metadata: { labels: { l: null } }
      })
      assert.strictEqual(reply.status, 200)
      assert.deepStrictEqual(at(reply, "data"), { keep: "1", add: { nested: [1] } })
      assert.deepStrictEqual(at(reply, "metadata", "labels"), {})
      const version = String(at(reply, "metadata", "resourceVersion"))
      assert.strictEqual((yield* merge(server, path, { metadata: { resourceVersion: "1" } })).status, 409)
      assert.strictEqual((yield* merge(server, path, { metadata: { resourceVersion: version } })).status, 200)
      assert.strictEqual((yield* merge(server, `${configMaps}/none`, {})).status, 404)
      assert.strictEqual((yield* merge(server, `${path}?force=true`, {})).status, 422)
      assert.strictEqual((yield* merge(server, path, { metadata: { name: "b" } })).status, 400)
    })
  )

  it.effect("does nothing in a dry run", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [configMap("a", { k: "1" })], createNamespaces: true })
      const before = server.all()
      const query = "?dryRun=All"
      const elsewhere = `/api/v1/namespaces/other/configmaps${query}`
      const body = configMap("b", {}, { namespace: "other" })
      assert.strictEqual((yield* call(server, "POST", elsewhere, { body })).status, 201)
      const merged = yield* merge(server, `${configMaps}/a${query}`, { data: { k: "2" } })
      assert.deepStrictEqual(at(merged, "data"), { k: "2" })
      assert.strictEqual((yield* apply(server, `${configMaps}/c`, "m", configMap("c"), "&dryRun=All")).status, 201)
      assert.strictEqual((yield* call(server, "DELETE", `${configMaps}/a${query}`)).status, 200)
      assert.deepStrictEqual(server.all(), before)
    })
  )

  it.effect("deletes", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({
        objects: [configMap("a", {}, { uid: "u" }), configMap("b"), cluster("c")]
      })
      const path = `${configMaps}/a`
      const wrong = yield* call(server, "DELETE", path, { body: { preconditions: { uid: "v" } } })
      assertStatus(
        wrong,
        409,
        "Conflict",
        'Operation cannot be fulfilled on configmaps "a": Precondition failed: UID in precondition: v, UID in object meta: u'
      )
      const stale = yield* call(server, "DELETE", path, { body: { preconditions: { resourceVersion: "1" } } })
      assert.strictEqual(stale.status, 409)
      const reply = yield* call(server, "DELETE", path, { body: { preconditions: { uid: "u" } } })
      assert.deepStrictEqual(reply.json, {
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Success",
        details: { name: "a", kind: "configmaps", uid: "u" }
      })
      assert.strictEqual((yield* call(server, "DELETE", path)).status, 404)
      assert.strictEqual((yield* call(server, "DELETE", "/api/v1/namespaces/shop")).status, 200)
      assert.deepStrictEqual(server.all(), [])
    })
  )

  it.effect("waits for finalizers", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [configMap("a", {}, { finalizers: ["example.io/f"] })] })
      const path = `${configMaps}/a`
      const marked = yield* call(server, "DELETE", path)
      assert.strictEqual(at(marked, "metadata", "deletionTimestamp"), "1970-01-01T00:00:00Z")
      assert.strictEqual((yield* call(server, "GET", path)).status, 200)
      assert.strictEqual((yield* merge(server, path, { metadata: { finalizers: null } })).status, 200)
      assert.strictEqual((yield* call(server, "GET", path)).status, 404)
    })
  )

  it.effect("keeps numbers as they were written", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      const spec = '"spec":{"big":9007199254740993,"float":1.0,"exp":1e3,"__proto__":{"a":1}}'
      const body = `{"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster","metadata":{"name":"a"},${spec}}`
      assert.include((yield* call(server, "POST", clusters, { body })).text, spec)
      assert.include((yield* merge(server, `${clusters}/a`, { status: { x: 1 } })).text, spec)
      const applied = yield* apply(
        server,
        `${clusters}/a`,
        "m",
        `{"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster","spec":{"big":9007199254740993}}`
      )
      assert.include(applied.text, spec)
      assert.strictEqual(applied.status, 200)
    })
  )
})

describe("server-side apply", () => {
  const path = `${configMaps}/a`

  it.effect("creates, and owns what it applied", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      const config = configMap(
        "a",
        { k: "1", list: [1, 2], empty: {}, deep: { x: { y: 1 } } },
        { labels: { "a.io/b": "c" } }
      )
      const created = yield* apply(server, path, "one", config)
      assert.strictEqual(created.status, 201)
      assert.deepStrictEqual(owners(server.get(configMapResource, "shop", "a")), [
        'one Apply {"f:data":{"f:deep":{"f:x":{"f:y":{}}},"f:empty":{},"f:k":{},"f:list":{}},"f:metadata":{"f:labels":{"f:a.io/b":{}}}}'
      ])
      yield* TestClock.adjust("1 hour")
      const again = yield* apply(server, path, "one", config)
      assert.strictEqual(again.status, 200)
      assert.deepStrictEqual(again.json, created.json)
    })
  )

  it.effect("needs a manager, the right kind and no managedFields", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [configMap("a")] })
      const type = "application/apply-patch+yaml"
      assertStatus(
        yield* call(server, "PATCH", path, { body: configMap("a"), type }),
        422,
        "Invalid",
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'
      )
      for (const body of [
        { ...configMap("a"), kind: "Secret" },
        { data: {} },
        configMap("a", {}, { managedFields: [] }),
        configMap("b"),
        configMap("a", {}, { namespace: "other" }),
        "data: yaml"
      ]) {
        assert.strictEqual(at(yield* apply(server, path, "m", body), "reason"), "BadRequest")
      }
      assert.strictEqual((yield* apply(server, path, "m", configMap("a", {}, { resourceVersion: "1" }))).status, 409)
      assert.strictEqual((yield* apply(server, `${configMaps}/b`, "m", configMap("b", {}, { uid: "u" }))).status, 409)
    })
  )

  /** What `first` and then `second` do to the field `k` of an object, and whose it is afterwards. */
  const matrix: ReadonlyArray<{
    readonly name: string
    readonly first: "apply" | "update" | "put"
    readonly value: string
    readonly force: boolean
    readonly status: number
    readonly data: string
    readonly owners: ReadonlyArray<string>
  }> = [
    {
      name: "same value as an applier: both own it",
      first: "apply",
      value: "1",
      force: false,
      status: 200,
      data: "1",
      owners: ["one Apply", "two Apply"]
    },
    {
      name: "same value as an updater: both own it",
      first: "update",
      value: "1",
      force: false,
      status: 200,
      data: "1",
      owners: ["two Apply", "one Update"]
    },
    {
      name: "same value as before all appliers",
      first: "put",
      value: "1",
      force: false,
      status: 200,
      data: "1",
      owners: ["two Apply", "before-first-apply Update"]
    },
    {
      name: "other value than an applier: conflict",
      first: "apply",
      value: "2",
      force: false,
      status: 409,
      data: "1",
      owners: ["one Apply"]
    },
    {
      name: "other value than an updater: conflict",
      first: "update",
      value: "2",
      force: false,
      status: 409,
      data: "1",
      owners: ["one Update"]
    },
    {
      name: "other value than before all appliers: conflict",
      first: "put",
      value: "2",
      force: false,
      status: 409,
      data: "1",
      owners: []
    },
    {
      name: "force against an applier",
      first: "apply",
      value: "2",
      force: true,
      status: 200,
      data: "2",
      owners: ["two Apply"]
    },
    {
      name: "force against an updater",
      first: "update",
      value: "2",
      force: true,
      status: 200,
      data: "2",
      owners: ["two Apply"]
    },
    {
      name: "force against what was before",
      first: "put",
      value: "2",
      force: true,
      status: 200,
      data: "2",
      owners: ["two Apply"]
    }
  ]
  it.effect.each(matrix)("ownership: $name", (given) =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ tls: false, objects: [namespace("shop")] })
      const original = configMap("a", { k: "1" })
      if (given.first === "apply") yield* apply(server, path, "one", original)
      if (given.first === "update") yield* call(server, "POST", `${configMaps}?fieldManager=one`, { body: original })
      if (given.first === "put") server.put(original)
      const reply = yield* apply(
        server,
        path,
        "two",
        configMap("a", { k: given.value }),
        given.force ? "&force=true" : ""
      )
      assert.strictEqual(reply.status, given.status, reply.text)
      const stored = server.get(configMapResource, "shop", "a")
      assert.deepStrictEqual(stored?.["data"], { k: given.data })
      assert.deepStrictEqual(
        owners(stored),
        given.owners.map((owner) => `${owner} {"f:data":{"f:k":{}}}`)
      )
    })
  )

  it.effect("names the managers and fields of a conflict", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      yield* apply(server, path, "one", configMap("a", { x: "1", y: "1" }))
      yield* merge(server, `${path}?fieldManager=editor`, { data: { z: "1" } })
      const single = yield* apply(server, path, "two", configMap("a", { x: "2" }))
      assertStatus(single, 409, "Conflict", 'Apply failed with 1 conflict: conflict with "one": .data.x')
      assert.deepStrictEqual(at(single, "details"), {
        causes: [{ reason: "FieldManagerConflict", message: 'conflict with "one"', field: ".data.x" }]
      })
      assertStatus(
        yield* apply(server, path, "two", configMap("a", { x: "2", y: "2", z: "2" })),
        409,
        "Conflict",
        'Apply failed with 3 conflicts: conflicts with "editor" using v1:\n- .data.z\nconflicts with "one":\n- .data.x\n- .data.y'
      )
    })
  )

  it.effect("removes what a manager no longer applies, if nobody else owns it", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      const data = () => server.get(configMapResource, "shop", "a")?.["data"]
      yield* apply(server, path, "one", configMap("a", { own: "1", shared: "1", deep: { x: "1" }, taken: "1" }))
      yield* apply(server, path, "two", configMap("a", { shared: "1", other: "1" }))
      yield* merge(server, `${path}?fieldManager=editor`, { data: { taken: "2", deep2: { y: "1" } } })
      yield* apply(server, path, "one", configMap("a", {}))
      assert.deepStrictEqual(data(), { shared: "1", taken: "2", other: "1", deep2: { y: "1" } })
      yield* apply(server, path, "two", { apiVersion: "v1", kind: "ConfigMap" })
      assert.deepStrictEqual(data(), { taken: "2", deep2: { y: "1" } })
      assert.deepStrictEqual(owners(server.get(configMapResource, "shop", "a")), [
        'one Apply {"f:data":{}}',
        'editor Update {"f:data":{"f:deep2":{"f:y":{}},"f:taken":{}}}'
      ])
    })
  )

  it.effect("replaces lists as a whole, and treats a change of type as a conflict", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      yield* apply(server, path, "one", configMap("a", { list: [1, 2], map: { x: 1 } }))
      const list = yield* apply(server, path, "two", configMap("a", { list: [3] }))
      assert.match(String(at(list, "message")), /conflict with "one": \.data\.list$/)
      const scalar = yield* apply(server, path, "two", configMap("a", { map: 5 }))
      assert.match(String(at(scalar, "message")), /conflict with "one": \.data\.map\.x$/)
      yield* apply(server, path, "two", configMap("a", { list: [3], map: 5 }), "&force=true")
      assert.deepStrictEqual(server.get(configMapResource, "shop", "a")?.["data"], { list: [3], map: 5 })
      assert.deepStrictEqual(owners(server.get(configMapResource, "shop", "a")), [
        'two Apply {"f:data":{"f:list":{},"f:map":{}}}'
      ])
    })
  )

  it.effect("an update takes fields over, and may rewrite or reset the owners", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      const current = () => owners(server.get(configMapResource, "shop", "a"))
      yield* apply(server, path, "one", configMap("a", { x: "1", y: "1" }))
      yield* merge(server, path, { data: { x: "2" } }, { userAgent: "kubectl-edit/v1.34" })
      assert.deepStrictEqual(current(), [
        'one Apply {"f:data":{"f:y":{}}}',
        'kubectl-edit Update {"f:data":{"f:x":{}}}'
      ])
      // Velero writes back the managedFields of the backup.
      const entry = {
        manager: "saved",
        operation: "Apply",
        apiVersion: "v1",
        fieldsType: "FieldsV1",
        fieldsV1: { "f:data": { ".": {}, "f:x": {} } }
      }
      yield* merge(server, path, { metadata: { managedFields: [entry] } })
      assert.deepStrictEqual(current(), ['saved Apply {"f:data":{".":{},"f:x":{}}}'])
      yield* merge(server, path, { metadata: { managedFields: [{}] } })
      assert.deepStrictEqual(current(), [])
      yield* merge(server, path, { data: { z: "1" } })
      assert.deepStrictEqual(current(), [])
    })
  )

  const FreeData = Schema.Record(Schema.String, Schema.Json)
  const writer = (manager: string) => ({ manager, apiVersion: "v1", now: "2026-01-01T00:00:00Z" })
  const applied = (live: FieldOwners.Applied | undefined, data: Tree, manager: string) =>
    Result.getOrThrow(FieldOwners.apply(live?.object, { data }, live?.owners ?? new Map(), writer(manager), true))

  it.effect.prop("applying again changes nothing", { data: FreeData }, ({ data }) =>
    Effect.sync(() => {
      const once = applied(undefined, data, "one")
      const twice = applied(once, data, "one")
      assert.deepStrictEqual(twice, once)
    })
  )

  it.effect.prop("owners survive their encoding", { a: FreeData, b: FreeData }, ({ a, b }) =>
    Effect.sync(() => {
      const encoded = FieldOwners.encode(applied(applied(undefined, a, "one"), b, "two").owners)
      assert.deepStrictEqual(FieldOwners.encode(FieldOwners.decode(encoded)), encoded)
    })
  )

  it.effect.prop(
    "force gets its way, and a second manager that gives everything back leaves no trace of its own fields",
    { a: FreeData, b: FreeData },
    ({ a, b }) =>
      Effect.sync(() => {
        const mine = Object.fromEntries(Object.entries(b).map(([key, value]) => [`two-${key}`, value]))
        const one = applied(undefined, { ...a, one: 1 }, "one")
        const two = applied(one, mine, "two")
        for (const [key, value] of Object.entries(mine)) {
          assert.deepStrictEqual((two.object["data"] as Tree)[key], value)
        }
        const gone = Result.getOrThrow(FieldOwners.apply(two.object, {}, two.owners, writer("two"), false))
        const kept = Object.keys(gone.object["data"] as Tree).filter((key) => key.startsWith("two-"))
        assert.deepStrictEqual(
          kept.filter((key) => !Object.hasOwn(a, key)),
          []
        )
      })
  )
})

describe("faults", () => {
  it.effect("answers with a Status, a number of times", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [configMap("a")] })
      const path = `${configMaps}/a`
      server.addFault({ method: "GET", path: /configmaps/g, times: 2, answer: { status: 429, retryAfter: 7 } })
      const reply = yield* call(server, "GET", path)
      assertStatus(
        reply,
        429,
        "TooManyRequests",
        "the server has received too many requests and has asked us to try again later"
      )
      assert.strictEqual(reply.headers["retry-after"], "7")
      assert.deepStrictEqual(at(reply, "details"), { retryAfterSeconds: 7 })
      assert.strictEqual((yield* merge(server, path, {})).status, 200)
      assert.strictEqual((yield* call(server, "GET", path)).status, 429)
      assert.strictEqual((yield* call(server, "GET", path)).status, 200)
      assert.deepStrictEqual(
        server.requests().map(({ status }) => status),
        [429, 200, 429, 200]
      )
    })
  )

  it.effect("stays until it is removed, and changes nothing", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [configMap("a")] })
      const remove = server.addFault({ answer: { status: 500, reason: "InternalError", message: "etcd is down" } })
      for (let i = 0; i < 3; i++) {
        assertStatus(yield* call(server, "DELETE", `${configMaps}/a`), 500, "InternalError", "etcd is down")
      }
      remove()
      assert.strictEqual((yield* call(server, "GET", `${configMaps}/a`)).status, 200)
    })
  )

  it.effect("tears down, breaks off and never answers", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      server.addFault({ times: 1, answer: "reset" })
      assert.strictEqual((yield* Effect.flip(call(server, "GET", configMaps))).code, "ECONNRESET")
      server.addFault({ times: 1, answer: "garbage" })
      const garbage = yield* call(server, "GET", configMaps)
      assert.strictEqual(garbage.status, 200)
      assert.throws(() => JSON.parse(garbage.text), SyntaxError)
      server.addFault({ path: /configmaps/, times: 1, answer: "hang" })
      const hanging = yield* Effect.forkChild(call(server, "GET", configMaps))
      yield* call(server, "GET", "/readyz").pipe(
        Effect.repeat({ until: () => server.requests().filter(({ status }) => status === 0).length === 2 })
      )
      assert.isAbove(server.connections(), 0)
      yield* Fiber.interrupt(hanging)
      // The connection of the client that gave up is gone from the server, too.
      yield* call(server, "GET", "/readyz").pipe(Effect.repeat({ until: () => server.connections() <= 1 }))
      assert.strictEqual((yield* call(server, "GET", configMaps)).status, 200)
    })
  )

  it.effect("answers late, by the clock of the test", () =>
    Effect.gen(function* () {
      const server = yield* ApiServer.make({ objects: [namespace("shop")] })
      server.addFault({ path: /configmaps/, times: 1, answer: { delayMs: 90_000 } })
      const late = yield* Effect.forkChild(call(server, "GET", configMaps))
      yield* call(server, "GET", "/readyz").pipe(Effect.repeat({ times: 3 }))
      assert.strictEqual(late.pollUnsafe(), undefined)
      const advance = call(server, "GET", "/readyz").pipe(
        Effect.andThen(TestClock.adjust("30 seconds")),
        Effect.forever
      )
      const reply = yield* Effect.raceFirst(Fiber.join(late), advance)
      assert.strictEqual(reply.status, 200)
    })
  )
})
