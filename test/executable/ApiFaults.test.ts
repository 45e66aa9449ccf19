import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as grpc from "@grpc/grpc-js"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { CallFailed } from "../../src/go-plugin/Client.ts"
import type { Fault } from "../../src/testing/ApiServer.ts"
import { at, eventually } from "./Executable.ts"
import * as Objects from "./Objects.ts"
import type { Options, World } from "./World.ts"
import * as Worlds from "./World.ts"
import { annotation, kind, overrideName, plugin, sourceIn, warnings } from "./World.ts"

const orders = Objects.cluster("shop", "orders")
const recorded = Objects.cluster("shop", "orders", { annotations: { [annotation.serverName]: "orders" } })

const shop = [Objects.namespace("shop"), orders, Objects.backup("shop", "orders", "backup", 3600)]

const annotationsOf = (text: string): unknown => sourceIn(JSON.parse(text))

/** Backs the Cluster up in a new process. */
const backedUp = (world: World) =>
  Effect.map(
    world.session(({ backup }) => backup(plugin.clusterBackup, orders)),
    ({ text }) => annotationsOf(text)
  )

const restoring = (world: World) => world.session(({ restore }) => restore(plugin.clusterRestore, recorded))

const requestsTo = ({ cluster }: World, path: RegExp) => cluster.requests().filter((request) => path.test(request.path))

const complete = { [annotation.serverName]: "orders", [annotation.backupId]: "20261119T010000" }

describe("a fault that passes is survived", () => {
  it.live.each<{ readonly name: string; readonly faults: ReadonlyArray<Fault>; readonly atLeast?: number }>([
    { name: "429, wait a second", faults: [{ times: 1, answer: { status: 429, retryAfter: 1 } }], atLeast: 1000 },
    { name: "429 without a time", faults: [{ times: 2, answer: { status: 429 } }] },
    { name: "503", faults: [{ times: 2, answer: { status: 503 } }] },
    { name: "500", faults: [{ times: 1, answer: { status: 500 } }] },
    { name: "a connection that breaks", faults: [{ times: 2, answer: "reset" }] },
    { name: "an answer that breaks off", faults: [{ times: 1, answer: "garbage" }] },
    {
      name: "all of them",
      faults: [
        { times: 1, answer: "reset" },
        { times: 1, answer: { status: 503 } },
        { times: 1, answer: "garbage" }
      ]
    }
  ])("$name", ({ atLeast = 0, faults }) =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: shop })
      const add = () => faults.forEach(world.cluster.addFault)
      add()
      const [duration, annotations] = yield* Effect.timed(backedUp(world))
      assert.deepStrictEqual(annotations, complete)
      assert.isAtLeast(Duration.toMillis(duration), atLeast)

      world.cluster.remove(kind.cluster, "shop", "orders")
      add()
      const restored = yield* restoring(world)
      assert.strictEqual(
        at(world.cluster.get(kind.configMap, "shop", overrideName), "data", "write_to_server_name"),
        at(JSON.parse(restored.text), "spec", "plugins", 0, "parameters", "serverName")
      )
      assert.deepStrictEqual(warnings(world), [])
    })
  )

  it.live("a write that is tried again is one ConfigMap with one name", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: [Objects.namespace("shop")] })
      world.cluster.addFault({ method: "PATCH", times: 2, answer: { status: 503 } })
      yield* restoring(world)
      assert.deepStrictEqual(
        world.cluster
          .requests()
          .filter(({ method }) => method === "PATCH")
          .map(({ status }) => status),
        [503, 503, 201]
      )
      assert.strictEqual(world.cluster.list(kind.configMap, "shop").length, 1)
    })
  )
})

describe("a token that rotates", () => {
  it.live("is read again", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: shop })
      yield* world.session(({ backup }) =>
        Effect.gen(function* () {
          for (const name of ["first", "second", "third"]) {
            world.cluster.setTokens([name])
            const file = world.options.env["KUBECONFIG"] ?? ""
            Fs.writeFileSync(file, world.cluster.kubeconfig.replace(world.cluster.token, name))
            const { text } = yield* backup(plugin.clusterBackup, orders, { name })
            assert.deepStrictEqual(annotationsOf(text), complete, name)
          }
        })
      )
      assert.deepStrictEqual(warnings(world), [])
    })
  )
})

describe("a fault that stays", () => {
  interface Case {
    readonly name: string
    readonly server?: Options["server"]
    readonly fault?: Fault
    readonly objects?: Options["objects"]
    readonly says: RegExp
  }

  const forbidden = (verb: string, resource: string): NonNullable<Options["server"]> => ({
    authorize: (attributes) => !(attributes.verb === verb && attributes.resource === resource)
  })

  const impatient = { KUBERNETES_CALL_TIMEOUT: "1 second" }

  it.live.each<Case>([
    {
      name: "403 on backups",
      server: forbidden("list", "backups"),
      says: /may not list backups\.postgresql\.cnpg\.io.*Grant the verb list on backups\.postgresql\.cnpg\.io to Velero's service account/
    },
    {
      name: "401",
      fault: { path: /backups$/, answer: { status: 401 } },
      says: /may not list backups\.postgresql\.cnpg\.io/
    },
    {
      name: "a missing CRD",
      fault: { path: /backups$/, answer: { status: 404 } },
      says: /backups\.postgresql\.cnpg\.io/
    },
    { name: "a server that hangs", fault: { answer: "hang" }, says: /backups\.postgresql\.cnpg\.io shop.*1s/ },
    { name: "503 for ever", fault: { answer: { status: 503 } }, says: /backups\.postgresql\.cnpg\.io shop.*503/ },
    { name: "resets for ever", fault: { answer: "reset" }, says: /backups\.postgresql\.cnpg\.io shop/ },
    {
      name: "429 for longer than there is time",
      fault: { answer: { status: 429, retryAfter: 3600 } },
      says: /backups\.postgresql\.cnpg\.io shop.*429/
    }
  ])("leaves a backup with the server name and one warning: $name", ({ fault, says, server = {} }) =>
    Effect.gen(function* () {
      const pods = ["a", "b"].map((name) => Objects.owned("v1", "Pod", "shop", name, "orders"))
      const world = yield* Worlds.make({ objects: [...shop, ...pods], server, env: impatient })
      if (fault !== undefined) world.cluster.addFault({ path: /\/backups$/, ...fault })
      const stale = Objects.cluster("shop", "orders", { annotations: { [annotation.backupId]: "of an earlier life" } })
      const [duration, replies] = yield* Effect.timed(
        world.session(({ backup }) =>
          Effect.gen(function* () {
            const marked = yield* Effect.forEach(pods, (pod) => backup(plugin.ownedBackup, pod))
            return { marked, cluster: yield* backup(plugin.clusterBackup, stale) }
          })
        )
      )
      assert.deepStrictEqual(annotationsOf(replies.cluster.text), { [annotation.serverName]: "orders" })
      // What its Cluster may need from its volumes is not marked to be left out.
      assert.deepStrictEqual(
        replies.marked.map(({ text }) => text),
        pods.map((pod) => JSON.stringify(pod))
      )
      assert.isBelow(Duration.toMillis(duration), 3000, "one deadline for all")
      assert.strictEqual(warnings(world).length, 1)
      assert.match(warnings(world)[0] ?? "", /^Cluster shop\/orders: recorded server name orders, but no backup id: /)
      assert.match(warnings(world)[0] ?? "", says)
    })
  )

  it.live.each<Case>([
    {
      name: "a server that hangs",
      fault: { path: /\/clusters\/orders$/, answer: "hang" },
      says: /clusters\.postgresql\.cnpg\.io shop\/orders.*1s/
    },
    {
      name: "403 on the live Cluster",
      server: forbidden("get", "clusters"),
      says: /may not get clusters\.postgresql\.cnpg\.io shop\/orders.*Grant the verb get on clusters\.postgresql\.cnpg\.io/
    },
    { name: "no namespace", objects: [], says: /namespace shop: there is no such namespace/ },
    {
      name: "403 on writing the ConfigMap",
      server: forbidden("patch", "configmaps"),
      says: /may not (apply|patch) configmaps shop\/cnpg-velero-override.*Grant the verbs? .*patch on configmaps/
    },
    {
      name: "a ConfigMap that is refused",
      fault: { method: "PATCH", answer: { status: 422, message: "no such field" } },
      says: /configmaps shop\/cnpg-velero-override.*422.*no such field/
    },
    {
      name: "a ConfigMap that cannot be written",
      fault: { method: "PATCH", answer: { status: 503 } },
      says: /configmaps shop\/cnpg-velero-override.*503/
    }
  ])(
    "fails a restore within the deadline, with nothing written: $name",
    ({ fault, objects = [Objects.namespace("shop")], says, server = {} }) =>
      Effect.gen(function* () {
        const world = yield* Worlds.make({ objects, server, env: impatient })
        const heal = fault === undefined ? () => {} : world.cluster.addFault(fault)
        const [duration, failure] = yield* Effect.timed(Effect.flip(restoring(world)))
        assert.strictEqual((failure as CallFailed).code, grpc.status.UNKNOWN)
        assert.match(failure.message, says)
        assert.isBelow(Duration.toMillis(duration), 3000)
        assert.deepStrictEqual(world.cluster.list(kind.configMap), [])
        if (fault === undefined) return
        // The same restore, run again, does what the first should have done.
        heal()
        yield* restoring(world)
        assert.strictEqual(world.cluster.list(kind.configMap).length, 1)
      })
  )

  it.live.each<Case>([
    {
      name: "403 on listing all Clusters",
      server: forbidden("list", "clusters"),
      says: /server names that are in use could not all be checked: .*list clusters\.postgresql\.cnpg\.io/
    },
    {
      name: "403 on reading the ConfigMap",
      server: forbidden("get", "configmaps"),
      says: /server names that are in use could not all be checked: .*get configmaps shop\/cnpg-velero-override/
    }
  ])("that only hides which names are taken is a warning: $name", ({ says, server = {} }) =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: [Objects.namespace("shop")], server })
      yield* restoring(world)
      assert.strictEqual(warnings(world).length, 1)
      assert.match(warnings(world)[0] ?? "", says)
      assert.strictEqual(world.cluster.list(kind.configMap).length, 1)
    })
  )

  it.live("of the Cluster itself is found before anything is written", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: [Objects.namespace("shop")] })
      const nameless = Objects.cluster("shop", "orders", {
        annotations: { [annotation.serverName]: "orders" },
        spec: { plugins: [{ name: Objects.barmanCloud, isWALArchiver: true }] }
      })
      const failure = yield* Effect.flip(world.session(({ restore }) => restore(plugin.clusterRestore, nameless)))
      assert.match(failure.message, /^Cluster shop\/orders cannot be recovered: .*barmanObjectName/)
      assert.deepStrictEqual(
        world.cluster.requests().filter(({ method }) => method !== "GET"),
        []
      )
    })
  )
})

describe("lists", () => {
  const many = [
    Objects.namespace("shop"),
    orders,
    // The newest one is on the third page.
    ...Array.from({ length: 1200 }, (_, index) =>
      Objects.backup("shop", "orders", `b-${String(index).padStart(4, "0")}`, index === 600 ? 80_000 : index)
    )
  ]

  it.live("of 1,200 Backups are read in pages", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: many })
      assert.deepStrictEqual(yield* backedUp(world), {
        [annotation.serverName]: "orders",
        [annotation.backupId]: "20261119T221320"
      })
      const pages = requestsTo(world, /\/backups$/)
      assert.deepStrictEqual(
        pages.map(({ query: { continue: token, limit } }) => [limit, token !== undefined]),
        [
          ["250", false],
          ["250", true],
          ["250", true],
          ["250", true],
          ["250", true]
        ]
      )
      assert.deepStrictEqual(warnings(world), [])
    })
  )

  it.live("that expire half way start again", () =>
    Effect.gen(function* () {
      const world = yield* Worlds.make({ objects: many })
      world.cluster.addFault({ path: /\/backups$/, answer: { delayMs: 100 } })
      const expire = Effect.andThen(
        eventually("two pages", () => requestsTo(world, /\/backups$/).length >= 2),
        Effect.sync(world.cluster.expireContinueTokens)
      )
      const [annotations] = yield* Effect.all([backedUp(world), expire], { concurrency: "unbounded" })
      assert.strictEqual(at(annotations, annotation.backupId), "20261119T221320")
      const statuses = requestsTo(world, /\/backups$/).map(({ status }) => status)
      assert.deepStrictEqual(statuses, [200, 200, 410, 200, 200, 200, 200, 200])
      assert.deepStrictEqual(warnings(world), [])
    })
  )

  it.live("and reads do not grow with the items of a Cluster", () =>
    Effect.gen(function* () {
      const service = (name: string) => ({ apiVersion: "v1", kind: "Service", name, uid: "u", controller: true })
      const job = (name: string) => ({ apiVersion: "batch/v1", kind: "Job", name, uid: "u", controller: true })
      const items = Array.from({ length: 100 }, (_, index) => [
        Objects.owned("v1", "PersistentVolumeClaim", "shop", `orders-${index}`, "orders"),
        Objects.owned("v1", "Pod", "shop", `orders-${index}`, "orders"),
        Objects.owned("v1", "Service", "shop", `orders-${index}`, "orders"),
        Objects.owned("batch/v1", "Job", "shop", `orders-${index}`, "orders"),
        Objects.owned("v1", "Pod", "shop", `of-a-job-${index}`, "orders", job(`orders-${index}`)),
        Objects.owned(
          "discovery.k8s.io/v1",
          "EndpointSlice",
          "shop",
          `s-${index}`,
          "orders",
          service(`orders-${index}`)
        )
      ]).flat()
      const store = {
        apiVersion: "barmancloud.cnpg.io/v1",
        kind: "ObjectStore",
        metadata: { name: "store", namespace: "shop" }
      }
      const world = yield* Worlds.make({ objects: [...shop, ...items, store] })
      const stored = yield* world.backup()
      const marked = stored.filter(({ after }) => after?.text.includes(annotation.ownedBy) === true)
      assert.strictEqual(marked.length, items.length)
      const counted = world.cluster.requests().map(({ path }) => path.replace(/^.*\/namespaces\/shop\//, ""))
      assert.deepStrictEqual(counted.toSorted(), [
        "/api/v1/namespaces/velero/configmaps",
        // What is recorded and marked.
        "backups",
        "clusters/orders",
        // What goes along.
        "databaseroles",
        "databases",
        "jobs",
        "objectstores/store",
        // How far back it reaches.
        "objectstores/store",
        "poolers",
        "publications",
        "scheduledbackups",
        "secrets/orders-app",
        "secrets/orders-ca",
        "secrets/orders-replication",
        "secrets/orders-server",
        "secrets/orders-superuser",
        "services",
        "subscriptions"
      ])

      world.cluster.clearRequests()
      world.disaster()
      const restored = yield* world.restore(stored)
      assert.strictEqual(restored.filter(({ outcome }) => outcome === "skipped").length, items.length + 1)
      // Configuration, and what one Cluster takes: its store, namespace, live Cluster, ConfigMap, all Clusters, the write.
      assert.strictEqual(world.cluster.requests().length, 7)
      assert.deepStrictEqual(warnings(world), [])
    })
  )
})
