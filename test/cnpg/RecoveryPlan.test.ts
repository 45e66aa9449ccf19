import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Cluster } from "../../src/cnpg/Cluster.ts"
import { decodeCluster } from "../../src/cnpg/Cluster.ts"
import * as RecoveryPlan from "../../src/cnpg/RecoveryPlan.ts"
import * as Json from "../../src/velero/Json.ts"
import { archiver, at, barman, json, recorded, textOf, type Tree, webhookProblems } from "./World.ts"

const view = (object: unknown): Cluster => Option.getOrThrow(decodeCluster(json(object)))

const source = { serverName: "orders-v1", recoveryTarget: { backupID: "20261119T020003" } }
const destination = "orders-20261119-093000"

/** The text of a Cluster as it is restored, or why not. */
const planned = (
  text: string,
  from: RecoveryPlan.Source = source
): Result.Result<string, RecoveryPlan.NotRecoverable> => {
  const cluster = view(JSON.parse(text))
  return Result.gen(function* () {
    const archive = yield* RecoveryPlan.archiveOf(cluster)
    return Json.patch(text, yield* RecoveryPlan.recover(cluster, archive, from, destination))
  })
}

/** The spec of a Cluster as it is restored. */
const recover = (spec: Tree, from?: RecoveryPlan.Source): unknown =>
  at(JSON.parse(Result.getOrThrow(planned(textOf(recorded(spec)), from))), "spec")

const refused = (spec: Tree, metadata?: Tree): string => {
  const result = planned(textOf(recorded(spec, {}, metadata)))
  assert.isTrue(Result.isFailure(result), JSON.stringify(result))
  const { message } = Result.getOrThrow(Result.flip(result))
  // Velero's resource modifiers run after the actions, so they cure nothing.
  assert.notInclude(message, "resource modifier")
  return message
}

const plugins = [archiver({ barmanObjectName: "store", serverName: "orders-v1" })]
const clusterBackup = {
  name: "clusterBackup",
  plugin: { name: barman, parameters: { barmanObjectName: "store", serverName: "orders-v1" } }
}
const recovery = { source: "clusterBackup", recoveryTarget: { backupID: "20261119T020003" } }
const s3 = { s3Credentials: { inheritFromIAMRole: true }, destinationPath: "s3://backups/" }

describe("bootstrap", () => {
  const cases: ReadonlyArray<readonly [title: string, bootstrap: unknown, expected: Tree]> = [
    ["none", undefined, recovery],
    ["null", null, recovery],
    ["without a method", {}, recovery],
    ["initdb without anything", { initdb: {} }, recovery],
    [
      "initdb with database and owner, the rest of it left behind",
      { initdb: { database: "orders", owner: "owner", encoding: "UTF8", import: { type: "monolith" } } },
      { ...recovery, database: "orders", owner: "owner" }
    ],
    [
      "initdb with a secret",
      { initdb: { database: "orders", owner: "owner", secret: { name: "own" } } },
      { ...recovery, database: "orders", owner: "owner", secret: { name: "own" } }
    ],
    ["initdb with a secret alone", { initdb: { secret: { name: "own" } } }, { ...recovery, secret: { name: "own" } }],
    [
      "initdb with a database alone: the operator's owner",
      { initdb: { database: "orders" } },
      { ...recovery, database: "orders", owner: "orders" }
    ],
    [
      "initdb with an owner alone: the operator's database",
      { initdb: { owner: "me" } },
      { ...recovery, database: "app", owner: "me" }
    ],
    ["initdb with empty and null fields", { initdb: { database: "", owner: null, secret: null } }, recovery],
    [
      "recovery of an earlier restore, its source and target left behind",
      {
        recovery: {
          source: "old",
          recoveryTarget: { backupID: "old", targetTime: "2026-01-01T00:00:00Z" },
          volumeSnapshots: { storage: { name: "snap", kind: "VolumeSnapshot" } },
          database: "orders",
          owner: "owner",
          secret: { name: "own" }
        }
      },
      { ...recovery, database: "orders", owner: "owner", secret: { name: "own" } }
    ],
    [
      "pg_basebackup",
      { pg_basebackup: { source: "old", database: "orders", owner: "owner" } },
      { ...recovery, database: "orders", owner: "owner" }
    ],
    [
      "a method beside null ones",
      { initdb: null, recovery: null, pg_basebackup: { source: "old", database: "a", owner: "b" } },
      { ...recovery, database: "a", owner: "b" }
    ]
  ]
  it.for(cases)("of %s becomes recovery", ([, bootstrap, expected]) => {
    const spec = recover({ plugins, bootstrap })
    assert.deepStrictEqual(at(spec, "bootstrap"), { recovery: expected })
    assert.deepStrictEqual(webhookProblems({ metadata: { name: "orders" }, spec }), [])
  })

  it("names no target where no backup is recorded", () => {
    assert.deepStrictEqual(
      at(recover({ plugins }, { serverName: "orders-v1", recoveryTarget: {} }), "bootstrap", "recovery"),
      { source: "clusterBackup" }
    )
  })

  it("keeps the secret's text", () => {
    const secret = `{ "name" : "own", "z":1.0, "a":1e400 }`
    const item = textOf(recorded({ plugins, bootstrap: { initdb: { secret: {} } } })).replace(
      `"secret":{}`,
      `"secret":${secret}`
    )
    assert.strictEqual(
      Json.slice(Result.getOrThrow(planned(item)), ["spec", "bootstrap", "recovery", "secret"]),
      secret
    )
  })
})

describe("external clusters", () => {
  const other = { name: "other", connectionParameters: { host: "elsewhere" }, sslCert: { name: "s", key: "tls.crt" } }
  const old = { name: "clusterBackup", barmanObjectStore: { destinationPath: "s3://old" } }
  const cases: ReadonlyArray<readonly [title: string, externals: unknown, expected: ReadonlyArray<unknown>]> = [
    ["none", undefined, [clusterBackup]],
    ["null", null, [clusterBackup]],
    ["an empty list", [], [clusterBackup]],
    ["others", [other, { ...other, name: "another" }], [other, { ...other, name: "another" }, clusterBackup]],
    [
      "an old one of that name, in its place",
      [other, old, { ...other, name: "b" }],
      [other, clusterBackup, { ...other, name: "b" }]
    ],
    ["an old one of that name alone", [old], [clusterBackup]]
  ]
  it.for(cases)("are %s: one is added or replaced, all others stay", ([, externalClusters, expected]) => {
    assert.deepStrictEqual(at(recover({ plugins, externalClusters }), "externalClusters"), expected)
  })

  const named = (name: string) => ({ ...clusterBackup, name })
  const second = named("clusterBackup-2")
  it.for([
    ["its source", { enabled: true, source: "clusterBackup" }, [old, other], [old, other, second]],
    ["its primary", { source: "other", primary: "clusterBackup" }, [other, old], [other, old, second]],
    ["itself", { source: "other", self: "clusterBackup" }, [other, old], [other, old, second]],
    [
      "its source, in a Cluster that was restored since",
      { source: "clusterBackup" },
      [old, { ...old, name: "clusterBackup-2" }, other],
      [old, second, other]
    ],
    [
      "its source, and the next name too",
      { source: "clusterBackup", self: "clusterBackup-2" },
      [old, second],
      [old, second, named("clusterBackup-3")]
    ],
    ["another", { source: "other" }, [other, old], [other, clusterBackup]]
  ] as const)("keep what spec.replica names: %s", ([, replica, externalClusters, expected]) => {
    const spec = recover({ plugins, replica, externalClusters })
    assert.deepStrictEqual(at(spec, "externalClusters") as unknown, expected)
    const made = expected.filter((each) => "plugin" in each).at(-1)
    assert.strictEqual(at(spec, "bootstrap", "recovery", "source"), made?.name)
    assert.deepStrictEqual(at(spec, "replica") as unknown, replica)
    assert.deepStrictEqual(webhookProblems({ metadata: { name: "orders" }, spec }), [])
  })

  it("name the store of the entry that archives", () => {
    const spec = recover({
      plugins: [
        { name: barman, parameters: { barmanObjectName: "wrong" } },
        { name: "x", parameters: { barmanObjectName: "x" } },
        ...plugins
      ]
    })
    assert.deepStrictEqual(at(spec, "externalClusters"), [clusterBackup])
  })
})

describe("server names of plugin entries", () => {
  it("are new in every entry of the archiver, and in no other", () => {
    const spec = recover({
      plugins: [
        { name: "first.example.com", parameters: { serverName: "orders-v1", barmanObjectName: "store" } },
        { name: barman, enabled: false, parameters: { serverName: "orders-v0" } },
        ...plugins,
        { name: barman, isWALArchiver: false },
        { name: barman, enabled: false, isWALArchiver: true, parameters: null }
      ]
    })
    assert.deepStrictEqual(at(spec, "plugins"), [
      { name: "first.example.com", parameters: { serverName: "orders-v1", barmanObjectName: "store" } },
      { name: barman, enabled: false, parameters: { serverName: destination } },
      { name: barman, isWALArchiver: true, parameters: { barmanObjectName: "store", serverName: destination } },
      { name: barman, isWALArchiver: false, parameters: { serverName: destination } },
      { name: barman, enabled: false, isWALArchiver: true, parameters: { serverName: destination } }
    ])
  })

  it("are added where they were defaulted", () => {
    assert.deepStrictEqual(
      at(recover({ plugins: [archiver({ barmanObjectName: "store" })] }), "plugins", 0, "parameters"),
      {
        barmanObjectName: "store",
        serverName: destination
      }
    )
  })
})

describe("the in-tree store", () => {
  const store = `{"s3Credentials":{"inheritFromIAMRole":true},"data":{"jobs":2.0,"x":12345678901234567890,"y":1e400,"\\u0061":"\\u003c"},"serverName":"orders-v1","z":{}}`
  const item = (spec: string) =>
    `{"apiVersion":"postgresql.cnpg.io/v1","kind":"Cluster","metadata":{"name":"orders"},"spec":${spec}}`

  it("is copied text by text, with the old server name, and writes under the new one", () => {
    const text = Result.getOrThrow(planned(item(`{"backup":{"barmanObjectStore":${store},"target":"primary"}}`)))
    assert.strictEqual(Json.slice(text, ["spec", "externalClusters", 0, "barmanObjectStore"]), store)
    assert.strictEqual(
      Json.slice(text, ["spec", "backup"]),
      `{"barmanObjectStore":${store.replace("orders-v1", destination)},"target":"primary"}`
    )
    assert.strictEqual(Json.slice(text, ["spec", "externalClusters", 0, "name"]), `"clusterBackup"`)
  })

  it("gets both names where its own was defaulted", () => {
    const spec = recover({ backup: { barmanObjectStore: s3 } }, { serverName: "orders", recoveryTarget: {} })
    assert.deepStrictEqual(at(spec, "externalClusters"), [
      { name: "clusterBackup", barmanObjectStore: { ...s3, serverName: "orders" } }
    ])
    assert.deepStrictEqual(at(spec, "backup", "barmanObjectStore"), { ...s3, serverName: destination })
  })

  it("replaces an old clusterBackup, whatever that was made of", () => {
    const spec = recover({ backup: { barmanObjectStore: s3 }, externalClusters: [clusterBackup] })
    assert.deepStrictEqual(at(spec, "externalClusters"), [
      { name: "clusterBackup", barmanObjectStore: { ...s3, serverName: "orders-v1" } }
    ])
  })

  it("leaves plugins alone", () => {
    const others = [{ name: barman, parameters: { barmanObjectName: "s", serverName: "b" } }, { name: "x.example.com" }]
    assert.deepStrictEqual(at(recover({ backup: { barmanObjectStore: s3 }, plugins: others }), "plugins"), others)
  })
})

describe("ephemeral fields", () => {
  it("go, and nothing else of metadata", () => {
    const item = textOf({
      ...recorded(
        { plugins },
        {},
        {
          resourceVersion: "12",
          generation: 3,
          creationTimestamp: "2026-11-17T09:41:08Z",
          managedFields: [{ manager: "kubectl" }],
          labels: { a: "b" },
          finalizers: ["x"]
        }
      ),
      status: { phase: "Cluster in healthy state" }
    })
    const tree = JSON.parse(Result.getOrThrow(planned(item))) as Tree
    assert.deepStrictEqual(Object.keys(tree), ["apiVersion", "kind", "metadata", "spec"])
    assert.deepStrictEqual(Object.keys(tree["metadata"] as Tree), [
      "name",
      "namespace",
      "annotations",
      "labels",
      "finalizers"
    ])
    assert.deepStrictEqual(at(tree, "metadata", "annotations"), {
      "velero-cnpg/serverName": "orders-v1",
      "velero-cnpg/current-backup-id": "20261119T020003"
    })
  })
})

describe("a Cluster that starts on its volumes", () => {
  it("keeps all but its server name", () => {
    const spec = { plugins, bootstrap: { initdb: { database: "orders" } }, externalClusters: [clusterBackup] }
    const cluster = view(recorded(spec))
    const archive = Result.getOrThrow(RecoveryPlan.archiveOf(cluster))
    const patches = Result.getOrThrow(RecoveryPlan.startOnVolumes(cluster, archive, destination))
    assert.deepStrictEqual(at(JSON.parse(Json.patch(textOf(recorded(spec)), patches)), "spec"), {
      ...spec,
      plugins: [archiver({ barmanObjectName: "store", serverName: destination })]
    })
  })

  it("gets no external cluster, so it may not need one either", () => {
    const onVolumes = (spec: Tree) => {
      const cluster = view(recorded({ plugins, ...spec }))
      return RecoveryPlan.startOnVolumes(cluster, Result.getOrThrow(RecoveryPlan.archiveOf(cluster)), destination)
    }
    const bootstrap = { recovery: { source: "clusterBackup" } }
    for (const spec of [
      { bootstrap, replica: { source: "clusterBackup" } },
      { externalClusters: [{ name: "clusterBackup" }] }
    ]) {
      assert.isTrue(Result.isFailure(onVolumes(spec)), textOf(spec))
      assert.isTrue(Result.isSuccess(planned(textOf(recorded({ plugins, ...spec })))), textOf(spec))
    }
  })

  it("may not be a replica cluster that was bootstrapped by initdb: the operator creates none", () => {
    const externalClusters = [
      { name: "us", connectionParameters: {} },
      { name: "orders", connectionParameters: {} }
    ]
    const onVolumes = (bootstrap: unknown, replica: unknown) => {
      const cluster = view(recorded({ plugins, bootstrap, externalClusters, replica }))
      return Result.isSuccess(
        RecoveryPlan.startOnVolumes(cluster, Result.getOrThrow(RecoveryPlan.archiveOf(cluster)), destination)
      )
    }
    const isAccepted = (bootstrap: unknown, replica: unknown) =>
      webhookProblems(json(recorded({ plugins, bootstrap, externalClusters, replica }))).length === 0
    const initdb = { initdb: { database: "a", owner: "a" } }
    const replicas = [
      { source: "us", primary: "us" },
      { source: "us", primary: "us", self: "orders" },
      { source: "us", primary: "orders" },
      { source: "us", primary: "us", self: "us" },
      { source: "us", enabled: true },
      { source: "us", enabled: false },
      { source: "us", enabled: null },
      { source: "us" },
      null
    ]
    for (const replica of replicas) {
      for (const bootstrap of [
        initdb,
        { recovery: { source: "us" } },
        { pg_basebackup: { source: "us" } },
        undefined
      ]) {
        assert.strictEqual(
          onVolumes(bootstrap, replica),
          isAccepted(bootstrap, replica),
          textOf({ replica, bootstrap })
        )
      }
    }
    assert.isFalse(onVolumes(initdb, { source: "us", primary: "us" }))
    assert.isTrue(onVolumes(initdb, { source: "us", primary: "orders" }))
  })
})

describe("a Cluster that lives already", () => {
  const live = {
    metadata: { annotations: { "velero-cnpg/serverName": "live-annotation", other: "live" } },
    spec: {
      bootstrap: { initdb: { database: "live" } },
      externalClusters: [{ name: "live" }],
      plugins: [archiver({ barmanObjectName: "live", serverName: "live" })],
      replica: { source: "live" },
      backup: { barmanObjectStore: { serverName: "live" }, target: "live" },
      instances: 1
    }
  }
  const kept = (item: Tree, of: unknown = live): unknown =>
    JSON.parse(Json.patch(textOf(item), RecoveryPlan.keepLive(json(of) as Json.Json)))

  it("keeps everything that says where its data comes from and goes to", () => {
    const item = recorded({
      bootstrap: { recovery: { source: "item" } },
      externalClusters: [{ name: "item" }, { name: "item-2" }],
      plugins,
      backup: { barmanObjectStore: { serverName: "item" }, target: "item" },
      instances: 3
    })
    assert.deepStrictEqual(kept(item), {
      ...item,
      metadata: {
        name: "orders",
        namespace: "shop",
        annotations: { "velero-cnpg/serverName": "live-annotation" }
      },
      spec: {
        bootstrap: live.spec.bootstrap,
        externalClusters: live.spec.externalClusters,
        plugins: live.spec.plugins,
        backup: { barmanObjectStore: { serverName: "live" }, target: "item" },
        instances: 3,
        replica: { source: "live" }
      }
    })
  })

  it("loses in the item what it does not have itself", () => {
    const item = recorded({
      bootstrap: { recovery: {} },
      externalClusters: [],
      plugins,
      replica: {},
      backup: { barmanObjectStore: {}, target: "item" },
      instances: 3
    })
    for (const bare of [{}, { spec: {} }, { spec: { backup: {} }, metadata: { annotations: {} } }]) {
      assert.deepStrictEqual(at(kept(item, bare), "spec"), { backup: { target: "item" }, instances: 3 })
      assert.deepStrictEqual(at(kept(item, bare), "metadata", "annotations"), {})
    }
  })

  it("is copied into an item that has none of it", () => {
    const item = recorded(null)
    assert.deepStrictEqual(at(kept(item), "spec"), {
      bootstrap: live.spec.bootstrap,
      externalClusters: live.spec.externalClusters,
      plugins: live.spec.plugins,
      replica: live.spec.replica,
      backup: { barmanObjectStore: { serverName: "live" } }
    })
  })

  it("leaves the item's own spelling where both are equal", () => {
    const text = `{"metadata":{"name":"orders"},"spec":{"bootstrap":{"initdb" : {"walSegmentSize":16.0} },"instances":3.0}}`
    const same = { spec: { bootstrap: { initdb: { walSegmentSize: 16 } } } }
    assert.strictEqual(Json.patch(text, RecoveryPlan.keepLive(same)), text)
  })
})

describe("what cannot be recovered", () => {
  it.for([
    ["no archive", {}],
    ["a foreign archiver", { plugins: [{ name: "backup.example.com", isWALArchiver: true }] }],
    ["a disabled archiver", { plugins: [{ ...plugins[0], enabled: false }] }],
    ["two entries that may archive", { plugins: [{ name: barman }, { name: barman }] }]
  ] as const)("with %s: the annotation and the remedy are named", ([, spec]) => {
    const message = refused(spec)
    for (const part of ["Cluster shop/orders", "velero-cnpg/serverName", "by hand"]) assert.include(message, part)
  })

  it.for([
    ["absent", archiver({})],
    ["empty", archiver({ barmanObjectName: "" })],
    ["null, with its parameters", { name: barman, parameters: null }]
  ] as const)("with barmanObjectName %s: the parameter and the remedy are named", ([, entry]) => {
    const message = refused({ plugins: [{ name: "x.example.com" }, entry] })
    for (const part of ["Cluster shop/orders", "barmanObjectName", "velero-cnpg/recover-from: volumes", "by hand"]) {
      assert.include(message, part)
    }
  })

  /** Whatever the plan would make of them, the operator's webhook would refuse it. */
  const hopeless: ReadonlyArray<readonly [title: string, says: string, spec: Tree, metadata?: Tree]> = [
    [
      "two external clusters of a name",
      "twin twice",
      {
        plugins,
        externalClusters: [
          { name: "twin", plugin: { name: "a" } },
          { name: "twin", plugin: { name: "b" } }
        ]
      }
    ],
    ["an external cluster without a method", "none", { plugins, externalClusters: [{ name: "none" }] }],
    [
      "an external cluster with nothing but nulls",
      "none",
      {
        plugins,
        externalClusters: [{ name: "none", plugin: null, barmanObjectStore: null, connectionParameters: null }]
      }
    ],
    ...["..", ".", "a/b", "a\\b"].map(
      (name) =>
        [
          `an external cluster named ${name}`,
          name,
          { plugins, externalClusters: [{ name, plugin: { name: "a" } }] }
        ] as const
    ),
    [
      "a replica that is enabled and has a primary",
      "enabled and primary",
      { plugins, replica: { source: "clusterBackup", primary: "clusterBackup", enabled: false } }
    ],
    ["a replica of nothing", "replica.source", { plugins, replica: { primary: "" } }],
    ["a replica of an unknown cluster", "elsewhere", { plugins, replica: { source: "elsewhere" } }],
    [
      "a replica that is itself unknown",
      "replica.self names me",
      { plugins, replica: { source: "clusterBackup", self: "me" } }
    ],
    [
      "a replica of an unknown primary",
      "replica.primary names you",
      { plugins, replica: { source: "clusterBackup", primary: "you" } }
    ],
    ["two archivers", "isWALArchiver", { plugins: [...plugins, { name: "backup.example.com", isWALArchiver: true }] }],
    ["an archiver plugin beside an in-tree store", "barmanObjectStore", { plugins, backup: { barmanObjectStore: s3 } }],
    [
      "an in-tree store without credentials",
      "credentials",
      { backup: { barmanObjectStore: { destinationPath: "s3://b/" } } }
    ],
    [
      "an in-tree store with two kinds of credentials",
      "credentials",
      { backup: { barmanObjectStore: { ...s3, googleCredentials: { gkeEnvironment: true } } } }
    ],
    ["a name of 51 characters", "50", { plugins }, { name: "a".repeat(51) }],
    ["a name with a dot", "DNS label", { plugins }, { name: "orders.v1" }],
    ["a name that begins with a digit", "DNS label", { plugins }, { name: "1orders" }]
  ]
  it.for(hopeless)("with %s: the operator's reason is given", ([, says, spec, metadata]) => {
    const message = refused(spec, metadata)
    assert.include(message, "the operator refuses it")
    assert.include(message, says)
    assert.include(message, "by hand")
  })

  it("is as the webhook sees it: a harmless relative of each is recovered", () => {
    const harmless: ReadonlyArray<readonly [spec: Tree, metadata?: Tree]> = [
      [
        {
          plugins,
          externalClusters: [
            { name: "a", plugin: { name: "a" } },
            { name: "b", plugin: { name: "b" } }
          ]
        }
      ],
      [
        {
          plugins,
          externalClusters: [
            { name: "a", connectionParameters: {} },
            { name: "..a", barmanObjectStore: {} }
          ]
        }
      ],
      // It is replaced.
      [{ plugins, externalClusters: [{ name: "clusterBackup" }] }],
      [{ plugins, replica: { source: "clusterBackup", self: "clusterBackup", primary: "" } }],
      [{ plugins, replica: { source: "a", self: null }, externalClusters: [{ name: "a", plugin: { name: "a" } }] }],
      [{ plugins: [...plugins, { name: "backup.example.com", enabled: false, isWALArchiver: true }] }],
      [{ plugins: [{ name: barman }], backup: { barmanObjectStore: s3 } }],
      [{ backup: { barmanObjectStore: { azureCredentials: {}, s3Credentials: null } } }],
      [{ plugins }, { name: "a".repeat(50) }]
    ]
    for (const [spec, metadata] of harmless) {
      const text = Result.getOrThrow(planned(textOf(recorded(spec, {}, metadata))))
      assert.deepStrictEqual(webhookProblems(JSON.parse(text)), [], textOf(spec))
    }
  })

  it("is recovered all the same where the operator's validation is off", () => {
    for (const [, , spec, metadata] of hopeless) {
      const item = recorded(spec, { "cnpg.io/validation": "disabled" }, metadata)
      assert.isTrue(Result.isSuccess(planned(textOf(item))), textOf(item))
    }
  })
})
