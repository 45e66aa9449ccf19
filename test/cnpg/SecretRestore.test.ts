import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action, moveHost, transform } from "../../src/cnpg/SecretRestore.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import {
  assertLine,
  at,
  callsOf,
  cluster,
  outside,
  pick,
  refusal,
  restoreOf,
  shop,
  start,
  stripped,
  textOf,
  type Tree
} from "./World.ts"

type Strings = Readonly<Record<string, string>>

/** What the operator's own code writes in two namespaces; made by `secrets/main.go`. */
const generated = JSON.parse(
  Fs.readFileSync(new URL("secrets/generated.json", import.meta.url), "utf8")
) as ReadonlyArray<{
  readonly title: string
  readonly from: string
  readonly to: string
  readonly original: Strings
  readonly moved: Strings
}>

const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64")
const plain = (value: unknown): string => Buffer.from(String(value), "base64").toString("utf8")

const owner = { apiVersion: "postgresql.cnpg.io/v1", kind: "Cluster", name: "orders", uid: "u", controller: true }

const secret = (
  data: Strings | undefined,
  {
    labels = { "cnpg.io/userType": "app" },
    namespace = "shop",
    owners = []
  }: {
    readonly labels?: Strings
    readonly namespace?: string
    readonly owners?: ReadonlyArray<unknown>
  } = {}
): KubernetesObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: {
    name: "orders-app",
    namespace,
    labels: { "cnpg.io/cluster": "orders", ...labels },
    ...(owners.length === 0 ? {} : { ownerReferences: owners })
  },
  ...(data === undefined
    ? {}
    : { data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)])) }),
  type: "kubernetes.io/basic-auth"
})

const textsOf = (tree: unknown): Strings =>
  Object.fromEntries(Object.entries((at(tree, "data") ?? {}) as Tree).map(([key, value]) => [key, plain(value)]))

const moved = restoreOf("moved", { shop: "shop-2" })
const uri = "postgresql://orders:fake@orders-rw.shop:5432/orders"

describe("the Secrets that the operator writes", () => {
  it.effect.each(generated)(
    "become what it would write in the other namespace: $title",
    ({ from, moved: expected, original, to }) =>
      Effect.gen(function* () {
        const { process } = yield* start([])
        const item = secret(original, { namespace: from })
        const outcome = yield* process.restore(action, item, restoreOf("r", { [from]: to }))
        assert.deepStrictEqual(textsOf(outcome.tree), expected)
        const keys = ["uri", "jdbc-uri", "fqdn-uri", "fqdn-jdbc-uri"].map((key) => ["data", key])
        assert.deepStrictEqual(outside(outcome.text, keys), outside(stripped(textOf(item)), keys))
        assertLine(
          outcome.lines,
          "Info",
          `Secret ${from}/orders-app`,
          `namespace ${to}`,
          "uri, jdbc-uri, fqdn-uri, fqdn-jdbc-uri"
        )
        for (const value of [original["uri"], original["pgpass"]])
          assert.notInclude(outcome.lines[0]?.message ?? "", value ?? "?")
      })
  )

  it.effect("are those of the example, and nothing but their keys changes", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      for (const name of ["orders-app", "orders-superuser"]) {
        const item = pick(shop, "Secret", name)
        const outcome = yield* process.restore(action, item, restoreOf("r", { shop: "shop-restored" }))
        const [before, after] = [textsOf(item), textsOf(outcome.tree)]
        for (const [key, value] of Object.entries(before)) {
          assert.strictEqual(
            after[key],
            key.includes("uri") ? value.replace("orders-rw.shop", "orders-rw.shop-restored") : value,
            key
          )
        }
        assert.isFalse(outcome.skip)
      }
    })
  )

  it.effect("are moved to the namespace of each Restore, generation after generation", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const first = yield* process.restore(action, secret({ uri }, { owners: [owner] }), moved)
      const second = JSON.parse(first.text) as KubernetesObject
      // Velero has mapped the namespace, and nobody gave it an owner again.
      const item = { ...second, metadata: { ...second.metadata, namespace: "shop-2" } }
      const outcome = yield* process.restore(action, item, restoreOf("again", { "shop-2": "shop-3" }))
      assert.strictEqual(textsOf(outcome.tree)["uri"], "postgresql://orders:fake@orders-rw.shop-3:5432/orders")
    })
  )

  it.effect("are known by their owner where they have no such label", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      const outcome = yield* process.restore(action, secret({ uri }, { labels: {}, owners: [owner] }), moved)
      assert.strictEqual(textsOf(outcome.tree)["uri"], "postgresql://orders:fake@orders-rw.shop-2:5432/orders")
    })
  )

  it.effect("are moved on their own output no further", () =>
    Effect.gen(function* () {
      const { process } = yield* start([])
      for (const { from, original, to } of generated.filter((each) => each.to !== "svc")) {
        const restore = restoreOf("r", { [from]: to })
        const first = yield* process.restore(action, secret(original, { namespace: from }), restore)
        assert.isTrue((yield* process.restore(action, first.text, restore)).isUntouched)
      }
    })
  )
})

describe("a Secret that stays as it is", () => {
  const all = generated[0]?.original ?? {}
  const cases: ReadonlyArray<readonly [string, KubernetesObject, Strings?]> = [
    ["no mapping", secret(all), {}],
    ["the mapping of another namespace", secret(all), { other: "shop-2" }],
    ["a mapping to itself", secret(all), { shop: "shop" }],
    ["made by a user", secret(all, { labels: {} })],
    ["of another owner", secret(all, { labels: {}, owners: [{ ...owner, kind: "Pooler" }] })],
    [
      "of a Cluster of another group",
      secret(all, { labels: {}, owners: [{ ...owner, apiVersion: "cluster.x-k8s.io/v1" }] })
    ],
    ["without data", secret(undefined)],
    ["with nothing that the operator writes", secret({ "ca.crt": "orders-rw.shop", "tls.key": uri })],
    ["already of another namespace", secret({ uri: "postgresql://u:p@orders-rw.elsewhere:5432/d" })]
  ]
  it.effect.each(cases)("same bytes, no line: %s", ([, item, mapping]) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([])
      const outcome = yield* process.restore(action, item, restoreOf("r", mapping ?? { shop: "shop-2" }))
      assert.isTrue(outcome.isUntouched)
      assert.deepStrictEqual(outcome.lines, [])
      assert.deepStrictEqual(world.calls, [])
    })
  )
})

describe("a Secret of a Cluster that lives where it would land", () => {
  const update = (mapping: Strings = {}) => {
    const restore = restoreOf("r", mapping)
    return { ...restore, spec: { ...restore.spec, existingResourcePolicy: "update" } }
  }
  const named = (name: string, labels: Strings, owners: ReadonlyArray<unknown> = []): KubernetesObject => {
    const { metadata, ...rest } = secret({ "tls.crt": "old" }, { owners })
    return { ...rest, metadata: { ...metadata, name, labels } }
  }
  const certificates = named("orders-server", { "app.kubernetes.io/managed-by": "cloudnative-pg" })

  it.effect.each([
    ...["app", "ca", "replication", "server", "superuser"].map(
      (suffix) => [`known by its name, -${suffix}`, named(`orders-${suffix}`, {}), {}, "shop"] as const
    ),
    ["known by its owner", named("x", {}, [owner]), {}, "shop"],
    ["known by its label", named("x", { "cnpg.io/cluster": "orders" }), {}, "shop"],
    ["generated for a user", secret({ uri }), {}, "shop"],
    ["in another namespace", secret({ uri }), { shop: "shop-2" }, "shop-2"]
  ] as const)("is left out where Velero would overwrite it: %s", ([, item, mapping, namespace]) =>
    Effect.gen(function* () {
      const { process, world } = yield* start([cluster({}, { namespace })])
      const outcome = yield* process.restore(action, item, update(mapping))
      assert.isTrue(outcome.skip)
      assert.isTrue(outcome.isUntouched)
      assertLine(
        outcome.lines,
        "Info",
        `Secret shop/${item.metadata?.name} is not restored`,
        `Cluster ${namespace}/orders lives`
      )
      assert.deepStrictEqual(callsOf(world), [`get clusters.postgresql.cnpg.io ${namespace}/orders`])
    })
  )

  it.effect("that nothing ties to a Cluster is restored, and nobody is asked", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([cluster({})], refusal.forbidden())
      for (const name of ["orders", "my-secret", "-app", "orders-app-2"]) {
        assert.isFalse((yield* process.restore(action, named(name, {}), update())).skip, name)
      }
      assert.deepStrictEqual(world.calls, [])
    })
  )

  it.effect("is restored where no such Cluster lives, not even in the old namespace", () =>
    Effect.gen(function* () {
      const { process } = yield* start([cluster({}), cluster({}, { name: "audit", namespace: "shop-2" })])
      const outcome = yield* process.restore(action, secret({ uri }), update({ shop: "shop-2" }))
      assert.isFalse(outcome.skip)
      assert.strictEqual(textsOf(outcome.tree)["uri"], "postgresql://orders:fake@orders-rw.shop-2:5432/orders")
    })
  )

  it.effect("is Velero's to keep by any other policy, and nobody is asked", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([cluster({})], refusal.forbidden())
      for (const existingResourcePolicy of [null, "", "none"]) {
        const restore = { ...restoreOf("r"), spec: { existingResourcePolicy } }
        assert.isFalse((yield* process.restore(action, certificates, restore)).skip)
      }
      assert.deepStrictEqual(world.calls, [])
    })
  )

  it.effect.each([
    ["the Cluster may not be read", refusal.forbidden("get", "clusters.postgresql.cnpg.io"), "Grant the verb get"],
    ["nobody answers", refusal.unavailable("get", "clusters.postgresql.cnpg.io"), "connection refused"]
  ] as const)("is an error while nothing tells: %s", ([, refuse, words]) =>
    Effect.gen(function* () {
      const { process } = yield* start([cluster({})], refuse)
      const error = yield* Effect.flip(process.restore(action, certificates, update()))
      assert.include(error.message, words)
    })
  )
})

describe("the keys", () => {
  const move = (data: Strings): Strings =>
    Object.fromEntries(
      transform(
        {
          metadata: { name: "orders-app" },
          data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, base64(value)]))
        },
        { isGenerated: true, from: "shop", to: "shop-2", living: undefined }
      ).patches.map((patch) => [
        "path" in patch ? String(patch.path.at(-1)) : "",
        "value" in patch ? plain(patch.value) : ""
      ])
    )

  it("of a qualified host and of pgpass are moved too", () => {
    assert.deepStrictEqual(
      move({
        host: "orders-rw.shop",
        pgpass:
          "orders-rw.shop:5432:orders:me:orders-rw.shop\norders-ro.shop.svc:5432:*:*:x:y\n# note\norders-rw.shopx\n\n"
      }),
      {
        host: "orders-rw.shop-2",
        pgpass:
          "orders-rw.shop-2:5432:orders:me:orders-rw.shop\norders-ro.shop-2.svc:5432:*:*:x:y\n# note\norders-rw.shopx\n\n"
      }
    )
  })

  it("are no others, whatever they hold", () => {
    assert.deepStrictEqual(
      move({
        URI: uri,
        "my-uri": uri,
        username: "orders-rw.shop",
        user: "orders-rw.shop",
        password: "orders-rw.shop",
        dbname: "orders-rw.shop",
        port: "orders-rw.shop"
      }),
      {}
    )
  })

  it("keep everything behind the host, and bytes that are no UTF-8", () => {
    const odd = Buffer.concat([Buffer.from("orders-rw.shop:5432:d:u:"), Buffer.from([0xff, 0xfe, 0x00, 0x80])])
    const { patches } = transform(
      { metadata: { name: "orders-app" }, data: { pgpass: odd.toString("base64") } },
      { isGenerated: true, from: "shop", to: "shop-2", living: undefined }
    )
    const [patch] = patches
    assert.strictEqual(
      Buffer.from(patch !== undefined && "value" in patch ? String(patch.value) : "", "base64").toString("latin1"),
      odd.toString("latin1").replace("orders-rw.shop", "orders-rw.shop-2")
    )
    assert.deepStrictEqual(move({ uri: `${uri}?sslmode=require&host=orders-rw.shop` }), {
      uri: "postgresql://orders:fake@orders-rw.shop-2:5432/orders?sslmode=require&host=orders-rw.shop"
    })
    assert.deepStrictEqual(move({ uri: "postgres://orders-rw.shop" }), { uri: "postgres://orders-rw.shop-2" })
  })

  it("that are no URIs stay", () => {
    for (const text of [
      "",
      "orders-rw.shop",
      "mysql://orders-rw.shop:3306/x",
      "postgresql:///orders?host=orders-rw.shop",
      "postgresql://"
    ]) {
      assert.deepStrictEqual(move({ uri: text, "jdbc-uri": text }), {})
    }
  })
})

describe("a host", () => {
  it.for([
    ["orders-rw", "orders-rw"],
    ["orders-rw.shop", "orders-rw.shop-2"],
    ["orders-rw.shop.svc", "orders-rw.shop-2.svc"],
    ["orders-rw.shop.svc.cluster.local", "orders-rw.shop-2.svc.cluster.local"],
    ["orders-rw.shop.svc.corp.example", "orders-rw.shop-2.svc.corp.example"],
    ["orders-rw.shop.svc.cluster.local.", "orders-rw.shop-2.svc.cluster.local."],
    ["orders-rw.shopping", "orders-rw.shopping"],
    ["orders-rw.shop2.svc.cluster.local", "orders-rw.shop2.svc.cluster.local"],
    ["orders-rw.other.svc.shop", "orders-rw.other.svc.shop"],
    ["orders-rw.shop.example.com", "orders-rw.shop.example.com"],
    ["shop", "shop"],
    [".shop", ".shop"],
    ["a.b.shop", "a.b.shop"],
    ["shop.shop", "shop.shop-2"],
    ["", ""]
  ] as const)("%s becomes %s", ([host, expected]) => {
    assert.strictEqual(moveHost(host, "shop", "shop-2"), expected)
  })

  it("is compared with the namespace's name, not with a pattern of it", () => {
    assert.strictEqual(moveHost("orders-rw.shop", "s..p", "x"), "orders-rw.shop")
    assert.strictEqual(moveHost("orders-rw.shop", "shop", "$&$1"), "orders-rw.$&$1")
  })
})

describe("the selector", () => {
  it("asks for all Secrets: those of certificates have no label", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["secrets"] })
  })
})
