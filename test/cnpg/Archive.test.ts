import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Archive from "../../src/cnpg/Archive.ts"
import type { Cluster } from "../../src/cnpg/Cluster.ts"
import { decodeCluster } from "../../src/cnpg/Cluster.ts"
import { barman, cluster, json, legacy, pick, shop } from "./World.ts"

const view = (object: unknown): Cluster => Option.getOrThrow(decodeCluster(json(object)))

const foreign = "backup.example.com"
const store = { destinationPath: "s3://backups/" }
const found = (
  serverName: string,
  entries: ReadonlyArray<number> = [0],
  barmanObjectName: string | undefined = "store"
) => ({
  _tag: "Plugin",
  plugin: barman,
  entries,
  serverName,
  barmanObjectName
})
const named = (serverName?: string) => ({
  barmanObjectName: "store",
  ...(serverName === undefined ? {} : { serverName })
})

describe("the archive of a Cluster", () => {
  const cases: ReadonlyArray<readonly [title: string, spec: unknown, expected: unknown]> = [
    [
      "the entry that says isWALArchiver",
      { plugins: [{ name: barman, isWALArchiver: true, parameters: named("v1") }] },
      found("v1")
    ],
    ["the only Barman Cloud entry", { plugins: [{ name: barman, parameters: named("v1") }] }, found("v1")],
    [
      "the only Barman Cloud entry beside others that do not archive",
      { plugins: [{ name: foreign }, { name: barman, isWALArchiver: false, parameters: named("v1") }] },
      found("v1", [1])
    ],
    [
      "an entry with enabled: true, or null",
      {
        plugins: [
          { name: barman, enabled: null, isWALArchiver: true, parameters: named("v1") },
          { name: foreign, enabled: true }
        ]
      },
      found("v1")
    ],
    [
      "without serverName, the Cluster's name",
      { plugins: [{ name: barman, isWALArchiver: true, parameters: named() }] },
      found("orders")
    ],
    [
      "with an empty serverName, the Cluster's name",
      { plugins: [{ name: barman, isWALArchiver: true, parameters: named("") }] },
      found("orders")
    ],
    [
      "without parameters, the Cluster's name, and no store",
      { plugins: [{ name: barman, isWALArchiver: true }] },
      { ...found("orders"), barmanObjectName: undefined }
    ],
    [
      "with parameters null or an empty barmanObjectName, no store",
      {
        plugins: [
          { name: barman, isWALArchiver: true, parameters: { barmanObjectName: "" } },
          { name: foreign, parameters: null }
        ]
      },
      { ...found("orders"), barmanObjectName: undefined }
    ],
    [
      "of two Barman Cloud entries the one that archives, and the indices of both",
      {
        plugins: [
          { name: barman, parameters: { barmanObjectName: "other", serverName: "other" } },
          { name: foreign, enabled: false, isWALArchiver: true },
          { name: barman, isWALArchiver: true, parameters: named("v1") }
        ]
      },
      found("v1", [0, 2])
    ],
    [
      "a disabled archiver does not archive",
      {
        plugins: [
          { name: barman, enabled: false, isWALArchiver: true, parameters: named("off") },
          { name: barman, parameters: named("on") }
        ]
      },
      found("on", [0, 1])
    ],
    [
      "only disabled entries: none",
      { plugins: [{ name: barman, enabled: false, isWALArchiver: true, parameters: named("v1") }] },
      { _tag: "None" }
    ],
    [
      "an archiver that is not Barman Cloud",
      {
        plugins: [
          { name: barman, parameters: named("v1") },
          { name: foreign, isWALArchiver: true }
        ]
      },
      { _tag: "Foreign", plugin: foreign }
    ],
    [
      "a plugin that does not archive is no archive",
      { plugins: [{ name: foreign, enabled: true, isWALArchiver: false }] },
      { _tag: "None" }
    ],
    [
      "two Barman Cloud entries and none that says isWALArchiver",
      {
        plugins: [
          { name: barman, parameters: named("a") },
          { name: barman, parameters: named("b") }
        ]
      },
      { _tag: "Ambiguous" }
    ],
    [
      "the in-tree store",
      { backup: { barmanObjectStore: { ...store, serverName: "v1" } } },
      { _tag: "InTree", serverName: "v1" }
    ],
    [
      "the in-tree store without serverName: the Cluster's name",
      { backup: { barmanObjectStore: store } },
      { _tag: "InTree", serverName: "orders" }
    ],
    [
      "the in-tree store with an empty serverName: the Cluster's name",
      { backup: { barmanObjectStore: { ...store, serverName: "" } } },
      { _tag: "InTree", serverName: "orders" }
    ],
    [
      "the in-tree store beside a Barman Cloud entry that does not say isWALArchiver: the operator archives in-tree",
      { backup: { barmanObjectStore: store }, plugins: [{ name: barman, parameters: named("v1") }] },
      { _tag: "InTree", serverName: "orders" }
    ],
    ["no spec", undefined, { _tag: "None" }],
    ["an empty spec", {}, { _tag: "None" }],
    [
      "nothing but nulls",
      { plugins: null, backup: null, externalClusters: null, bootstrap: null, replica: null },
      { _tag: "None" }
    ],
    [
      "a backup section without object store",
      { backup: { barmanObjectStore: null, volumeSnapshot: { className: "csi" } } },
      { _tag: "None" }
    ]
  ]
  it.for(cases)("%s", ([, spec, expected]) => {
    assert.deepStrictEqual(Archive.find(view(cluster(spec))) as unknown, expected)
  })

  it("is right for the example Clusters", () => {
    const of = (objects: typeof shop, name: string) => Archive.find(view(pick(objects, "Cluster", name))) as unknown
    assert.deepStrictEqual(of(shop, "orders"), found("orders-v1", [0], "orders-store"))
    assert.deepStrictEqual(of(legacy, "invoices"), { _tag: "InTree", serverName: "invoices" })
    assert.deepStrictEqual(of(legacy, "reports"), { _tag: "None" })
    assert.deepStrictEqual(of(legacy, "ledger-eu"), found("ledger-eu", [0], "ledger-store"))
  })
})

describe("the server names that a Cluster uses", () => {
  const namesOf = (spec: unknown) => [...new Set(Archive.serverNames(view(cluster(spec))))].toSorted()

  it("are those that it writes to and those that it reads from", () => {
    assert.deepStrictEqual(
      namesOf({
        plugins: [
          { name: barman, isWALArchiver: true, parameters: named("writes") },
          { name: foreign, enabled: false, parameters: { serverName: "disabled" } }
        ],
        externalClusters: [
          { name: "clusterBackup", plugin: { name: barman, parameters: named("reads") } },
          { name: "old", barmanObjectStore: { ...store, serverName: "reads-in-tree" } },
          { name: "live", connectionParameters: { host: "elsewhere" } }
        ]
      }),
      ["disabled", "reads", "reads-in-tree", "writes"]
    )
  })

  it("hold the operator's defaults: the Cluster's name, and of an in-tree external cluster its own", () => {
    assert.deepStrictEqual(
      namesOf({
        plugins: [{ name: barman }, { name: barman }],
        externalClusters: [
          { name: "orders-20261119-093000", barmanObjectStore: store },
          { name: "null", barmanObjectStore: null }
        ]
      }),
      ["orders", "orders-20261119-093000"]
    )
    assert.deepStrictEqual(namesOf({ backup: { barmanObjectStore: store } }), ["orders"])
    assert.deepStrictEqual(
      namesOf({ externalClusters: [{ name: "clusterBackup", plugin: { name: barman, parameters: {} } }] }),
      ["orders"]
    )
  })

  it("are none where nothing archives", () => {
    assert.deepStrictEqual(namesOf({}), [])
    assert.deepStrictEqual(namesOf(undefined), [])
  })
})
