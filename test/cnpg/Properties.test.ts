/** What holds for every item, not only for those that somebody thought of. */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { action as backupAction } from "../../src/cnpg/ClusterBackup.ts"
import { action as restoreAction } from "../../src/cnpg/ClusterRestore.ts"
import { action as deploymentAction } from "../../src/cnpg/DeploymentRestore.ts"
import { action as ownedBackupAction } from "../../src/cnpg/OwnedResourceBackup.ts"
import { action as ownedRestoreAction } from "../../src/cnpg/OwnedResourceRestore.ts"
import { action as secretAction } from "../../src/cnpg/SecretRestore.ts"
import * as ServerNames from "../../src/cnpg/ServerNames.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import * as Json from "../../src/velero/Json.ts"
import {
  at,
  barman,
  cluster,
  completed,
  itIs,
  json,
  makeWorld,
  namespace,
  outside,
  restoreOf,
  start,
  startProcess,
  type Tree,
  webhookProblems
} from "./World.ts"

const options = { arbitrary: { runs: 100, seed: "cnpg" } }

// -------------------------------------------------------------------------------------------------------------- spelling

/** A value with a spelling that parsing and printing would lose. */
class Raw {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

const rawValues = [
  "1.0",
  "1e400",
  "-0",
  "12345678901234567890",
  `"\\u003chtml\\u003e \\/ \\ud800"`,
  `{"10":1,"9":2,"1":3}`,
  `{ "twice":1, "twice":2 }`,
  "[ 1.50 , null,[ ] ]",
  "null",
  `{"status":{},"bootstrap":{},"serverName":"x"}`
]

/** Maps of strings, in which other values would be errors. */
const stringMaps = new Set(["annotations", "labels", "parameters", "connectionParameters", "data"])

interface Style {
  /** Between tokens. */
  readonly space: string
  /** Where in `rawValues` to begin. */
  readonly offset: number
}

/** The text of an object, with a foreign field in every object of it. */
const print = (tree: unknown, { offset, space }: Style): string => {
  let next = offset
  const visit = (value: unknown, key: string): string => {
    if (value instanceof Raw) return value.text
    if (Array.isArray(value)) return `[${space}${value.map((item) => visit(item, "")).join(`,${space}`)}${space}]`
    if (typeof value !== "object" || value === null) return JSON.stringify(value)
    const foreign = stringMaps.has(key) ? `"\\u0061\\/b"` : (rawValues[next++ % rawValues.length] ?? "null")
    const members = [...Object.entries(value), ["zz", new Raw(foreign)] as const].filter(
      ([, item]) => item !== undefined
    )
    return `{${space}${members.map(([name, item]) => `${JSON.stringify(name)}${space}:${space}${visit(item, name)}`).join(`${space},`)}${space}}`
  }
  return visit(tree, "")
}

const Style = Schema.Struct({
  space: Schema.Literals(["", " ", "\n\t"]),
  offset: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: rawValues.length }))
})

// -------------------------------------------------------------------------------------------------------------- Clusters

type Of<A> = A extends Arbitrary.Arbitrary<infer T> ? T : never

const { all, array } = Arbitrary

/** One of these, as often as it is listed. */
const oneOf = <const A extends string | boolean>(...values: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: values.length - 1 }))),
    (index) => values[index] as A
  )

/** Mostly given, sometimes `null`, sometimes absent: a schema's optional keys are absent so often that nothing gets deep. */
const maybe = <A>(given: Arbitrary.Arbitrary<A>): Arbitrary.Arbitrary<A | null | undefined> =>
  Arbitrary.flatMap(oneOf("given", "given", "given", "given", "null", "absent"), (which) =>
    which === "given" ? given : Arbitrary.Constant(which === "null" ? null : undefined)
  )

/** Given or absent: in a map of strings `null` is an error. */
const perhaps = <A>(given: Arbitrary.Arbitrary<A>): Arbitrary.Arbitrary<A | undefined> =>
  Arbitrary.map(maybe(given), (value) => value ?? undefined)

const text = Arbitrary.schema(Schema.String)
const anyJson = Arbitrary.schema(Schema.Json)
const strings = Arbitrary.schema(Schema.Record(Schema.String, Schema.String))
const style = Arbitrary.schema(Style)

const serverName = oneOf("orders-v1", "", "orders", "orders-19700101-000000")

const entry = all({
  name: oneOf(barman, barman, "a.example.com", "b.example.com"),
  enabled: maybe(oneOf(true, false)),
  isWALArchiver: maybe(oneOf(true, false)),
  parameters: maybe(
    all({
      barmanObjectName: perhaps(oneOf("store", "store", "")),
      serverName: perhaps(serverName),
      other: perhaps(text)
    })
  )
})

const credentials = all({ inheritFromIAMRole: oneOf(true, false) })
const store = all({
  serverName: maybe(serverName),
  destinationPath: text,
  s3Credentials: maybe(credentials),
  azureCredentials: Arbitrary.map(maybe(credentials), (value) => (value ? undefined : value))
})

const application = {
  database: maybe(oneOf("app", "orders", "", 'ünï "code"')),
  owner: maybe(oneOf("app", "orders", "", 'ünï "code"')),
  secret: maybe(all({ name: maybe(text) }))
}
const noMethod = Arbitrary.Constant(null)
const source = oneOf("us", "clusterBackup")
const bootstrap = Arbitrary.flatMap(oneOf("initdb", "initdb", "recovery", "pg_basebackup", "none"), (which) =>
  all({
    initdb: which === "initdb" ? maybe(all({ ...application, encoding: perhaps(text) })) : noMethod,
    recovery: which === "recovery" ? maybe(all({ ...application, source })) : noMethod,
    pg_basebackup: which === "pg_basebackup" ? maybe(all({ ...application, source })) : noMethod
  })
)

const externalName = oneOf("clusterBackup", "us", "us", "eu", "eu", "a/b")
const external = all({
  name: externalName,
  plugin: maybe(entry),
  barmanObjectStore: maybe(store),
  connectionParameters: maybe(strings)
})

const replica = all({
  self: maybe(externalName),
  primary: maybe(externalName),
  source: externalName,
  enabled: maybe(oneOf(true, false))
})

const anyTree = all({
  apiVersion: Arbitrary.Constant("postgresql.cnpg.io/v1"),
  kind: Arbitrary.Constant("Cluster"),
  metadata: all({
    name: oneOf("orders", "orders", "orders", "a", "a".repeat(50), "a".repeat(51), "Not.A.Label"),
    namespace: Arbitrary.Constant("shop"),
    uid: maybe(Arbitrary.Constant("uid-of-orders")),
    annotations: maybe(
      all({
        "velero-cnpg/serverName": perhaps(serverName),
        "velero-cnpg/current-backup-id": perhaps(oneOf("20260101T000000", "")),
        "velero-cnpg/recover-from": perhaps(oneOf("volumes", "object-store", "object-store", "object-store", "tape")),
        ünï: perhaps(text)
      })
    ),
    labels: maybe(strings),
    resourceVersion: perhaps(text),
    generation: perhaps(Arbitrary.schema(Schema.Int)),
    creationTimestamp: maybe(text),
    managedFields: maybe(array(anyJson)),
    finalizers: maybe(array(text))
  }),
  spec: maybe(
    all({
      plugins: maybe(array(entry, { maxLength: 4 })),
      backup: maybe(
        all({
          barmanObjectStore: Arbitrary.flatMap(oneOf(true, false, false), (given) => (given ? maybe(store) : noMethod)),
          target: perhaps(text)
        })
      ),
      externalClusters: maybe(array(external, { maxLength: 4 })),
      bootstrap: maybe(bootstrap),
      replica: Arbitrary.flatMap(oneOf(true, false), (given) => (given ? maybe(replica) : noMethod)),
      instances: perhaps(Arbitrary.schema(Schema.Int)),
      postgresql: maybe(anyJson)
    })
  ),
  status: maybe(all({ phase: text, more: anyJson }))
})
type AnyCluster = Of<typeof anyTree>

const archiving = all({
  kind: oneOf("archiver", "lone", "in-tree"),
  serverName: perhaps(serverName),
  /** Where among the other entries, as far as there are so many. */
  position: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 })))
})

/** Makes of any Cluster one that the operator accepted and that archives, and of which a backup recorded a server name. */
const accepted = (any: AnyCluster, { kind, position, serverName }: Of<typeof archiving>): Tree => {
  const spec: Partial<NonNullable<AnyCluster["spec"]>> = any.spec ?? {}
  const named = serverName === undefined ? {} : { serverName }
  const entry = {
    name: barman,
    ...(kind === "archiver" ? { isWALArchiver: true } : {}),
    parameters: { barmanObjectName: "store", ...named }
  }
  const others = (spec.plugins ?? []).map((each) =>
    each.enabled === false || (each.name === barman && kind === "lone")
      ? { ...each, enabled: false }
      : { ...each, isWALArchiver: false }
  )
  const externals = (spec.externalClusters ?? [])
    .filter(({ name }, index, all) => name !== "a/b" && all.findIndex((each) => each.name === name) === index)
    .map((each) =>
      each.plugin || each.barmanObjectStore || each.connectionParameters ? each : { ...each, connectionParameters: {} }
    )
  const known = (name: string | null | undefined) => externals.some((each) => each.name === name)
  const { replica } = spec
  const primary = known(replica?.primary) ? { primary: replica?.primary } : {}
  return {
    ...any,
    metadata: {
      ...any.metadata,
      name: any.metadata.name.length > 50 || any.metadata.name === "Not.A.Label" ? "orders" : any.metadata.name,
      annotations: {
        ...any.metadata.annotations,
        "velero-cnpg/serverName": any.metadata.annotations?.["velero-cnpg/serverName"] || "orders-v1",
        "velero-cnpg/recover-from": "object-store"
      }
    },
    spec: {
      ...spec,
      plugins: kind === "in-tree" ? others : [...others.slice(0, position), entry, ...others.slice(position)],
      backup:
        kind === "in-tree"
          ? {
              ...spec.backup,
              barmanObjectStore: {
                ...spec.backup?.barmanObjectStore,
                s3Credentials: {},
                azureCredentials: null,
                ...named
              }
            }
          : { ...spec.backup, barmanObjectStore: null },
      externalClusters: externals,
      replica:
        replica && known(replica.source)
          ? {
              source: replica.source,
              ...(known(replica.self) ? { self: replica.self } : {}),
              ...primary,
              ...("primary" in primary ? {} : { enabled: replica.enabled ?? true })
            }
          : null
    }
  }
}

const validCluster = Arbitrary.map(all({ tree: anyTree, archiving, style }), (each) =>
  print(accepted(each.tree, each.archiving), each.style)
)

/** Valid but for a field or two, which are as they came: mostly those are what is right or wrong by a hair. */
const nearlyValid = Arbitrary.map(
  all({
    tree: anyTree,
    archiving,
    style,
    asTheyCame: array(oneOf("metadata", "plugins", "backup", "externalClusters", "replica"), { maxLength: 2 })
  }),
  (each) => {
    const whole = accepted(each.tree, each.archiving)
    const spec = Object.entries(whole["spec"] as Tree).map(([key, value]) => [
      key,
      each.asTheyCame.some((field) => field === key) ? at(each.tree.spec ?? {}, key) : value
    ])
    const metadata = each.asTheyCame.includes("metadata") ? each.tree.metadata : whole["metadata"]
    return print({ ...whole, metadata, spec: Object.fromEntries(spec) }, each.style)
  }
)

const anyCluster = Arbitrary.flatMap(oneOf(true, false, false), (isAnything) =>
  isAnything ? Arbitrary.map(all({ tree: anyTree, style }), (each) => print(each.tree, each.style)) : nearlyValid
)

/** The external cluster that a restore makes or replaces: another than the one that spec.replica follows. */
const madeFor = (spec: AnyCluster["spec"]): string => {
  const { primary, self, source } = spec?.replica ?? {}
  const isThere = spec?.externalClusters?.some(({ name }) => name === "clusterBackup")
  return isThere && [primary, self, source].includes("clusterBackup") ? "clusterBackup-2" : "clusterBackup"
}

/** What the restore may change of a Cluster, whichever way it archives. */
const ownedByRestore = (text: string): ReadonlyArray<Json.Path> => {
  const { spec } = JSON.parse(text) as { readonly spec?: AnyCluster["spec"] }
  const externals = spec?.externalClusters ?? []
  const existing = externals.findIndex(({ name }) => name === madeFor(spec))
  return [
    ["status"],
    ...["resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"].map((key) => ["metadata", key]),
    ["spec", "bootstrap"],
    ["spec", "externalClusters", existing === -1 ? externals.length : existing],
    ...(spec?.backup?.barmanObjectStore
      ? [["spec", "backup", "barmanObjectStore", "serverName"]]
      : (spec?.plugins ?? []).flatMap(({ name }, index) =>
          name === barman ? [["spec", "plugins", index, "parameters", "serverName"]] : []
        ))
  ]
}

const annotationPaths = (...keys: ReadonlyArray<string>): ReadonlyArray<Json.Path> =>
  keys.map((key) => ["metadata", "annotations", `velero-cnpg/${key}`])

/** What a backup records. */
const recordedKeys = [
  "serverName",
  "current-backup-id",
  "current-backup-ended-at",
  "fresh-backup-name",
  "fresh-backup-id",
  "fresh-backup-end-lsn",
  "fresh-backup-end-wal",
  "stored-at",
  "first-recoverability-point"
]

const wellFormed = /^.+-\d{4}(0[1-9]|1[0-2])([0-2]\d|3[01])-([01]\d|2[0-3])[0-5]\d[0-5]\d$/

// ------------------------------------------------------------------------------------------------------------ properties

describe("every Cluster that the operator accepted and that archives", () => {
  it.effect.prop(
    "recovers from its source, to another name, as a Cluster that the webhook takes",
    { text: validCluster },
    ({ text }) =>
      Effect.gen(function* () {
        const { process, world } = yield* start([namespace("shop")])
        const { skip, tree } = yield* process.restore(restoreAction, text, restoreOf("r"), text)
        assert.isFalse(skip)
        assert.deepStrictEqual(webhookProblems(tree), [])

        const before = JSON.parse(text) as AnyCluster
        const name = before.metadata.name
        const source = before.metadata.annotations?.["velero-cnpg/serverName"]
        const spec = tree["spec"] as NonNullable<AnyCluster["spec"]>
        const made = spec.externalClusters?.filter((each) => each.name === madeFor(before.spec)) ?? []
        assert.strictEqual(made.length, 1)
        const readFrom = (made[0]?.barmanObjectStore ?? made[0]?.plugin?.parameters)?.serverName
        const written = spec.backup?.barmanObjectStore
          ? [spec.backup.barmanObjectStore.serverName]
          : (spec.plugins ?? []).filter((each) => each.name === barman).map(({ parameters }) => parameters?.serverName)
        const writeTo = written[0] as string
        assert.strictEqual(readFrom, source)
        assert.strictEqual(new Set(written).size, 1, "one name in every entry of the archiver")
        assert.notStrictEqual(writeTo, source)
        assert.match(writeTo, wellFormed)
        assert.isTrue(writeTo.startsWith(`${name}-`))
        assert.deepStrictEqual(world.configMaps()[0]?.["data"], {
          write_to_server_name: writeTo,
          read_from_server_name: source,
          [`${name}.write_to_server_name`]: writeTo,
          [`${name}.read_from_server_name`]: source
        })

        // The application's database of whichever method there was, with the operator's defaults.
        const { initdb, pg_basebackup: baseBackup, recovery } = before.spec?.bootstrap ?? {}
        const method = initdb ?? recovery ?? baseBackup
        const isNamed = !!method?.database || !!method?.owner
        const database = method?.database || "app"
        const id = before.metadata.annotations?.["velero-cnpg/current-backup-id"]
        assert.deepStrictEqual(spec.bootstrap as unknown, {
          recovery: {
            source: madeFor(before.spec),
            ...(id ? { recoveryTarget: { backupID: id } } : {}),
            ...(isNamed ? { database, owner: method?.owner || (method?.database ? method.database : "app") } : {}),
            ...(method?.secret ? { secret: method.secret } : {})
          }
        })
      }),
    options
  )

  it.effect.prop(
    "comes back byte for byte outside of what the restore owns, and once more the same",
    { text: validCluster },
    ({ text }) =>
      Effect.gen(function* () {
        const { process, world } = yield* start([namespace("shop")])
        const restore = restoreOf("r")
        const first = yield* process.restore(restoreAction, text, restore, text)
        const owned = ownedByRestore(text)
        assert.deepStrictEqual(outside(first.text, owned), outside(text, owned))
        const second = yield* process.restore(restoreAction, first.text, restore, first.text)
        assert.strictEqual(second.text, first.text)
        const third = yield* (yield* startProcess(world)).restore(restoreAction, first.text, restore, first.text)
        assert.strictEqual(third.text, first.text)
      }),
    options
  )
})

describe("every target of a recovery", () => {
  const id = "20260101T000000"
  const moment = oneOf("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-06-01T12:00:00Z", "", "soon")
  const known = all({
    "velero-cnpg/current-backup-id": perhaps(oneOf(id, "")),
    "velero-cnpg/fresh-backup-id": perhaps(oneOf(id, "20250101T000000")),
    "velero-cnpg/current-backup-ended-at": perhaps(moment),
    "velero-cnpg/stored-at": perhaps(moment),
    "velero-cnpg/first-recoverability-point": perhaps(moment)
  })
  const point = oneOf(
    "latest",
    "backup",
    "velero-backup",
    "2026-05-05T05:05:05.123456+02:00",
    "2020-01-01T00:00:00Z",
    "2030-01-01T00:00:00Z",
    "lsn:1F/ABC",
    "xid:4294967295",
    `name:${"ü".repeat(31)}`,
    'name:it\'s \\ "said"',
    "tomorrow"
  )
  const timeline = oneOf("", "", " timeline:latest", " timeline:4294967295", " timeline:0")

  it.effect.prop(
    "becomes one that the webhook takes, or an error before anything is written, and changes nothing else",
    { text: validCluster, known, point, timeline },
    ({ known, point, text, timeline }) =>
      Effect.gen(function* () {
        yield* itIs("2026-12-01T00:00:00Z")
        const patches = Object.entries(known).map(([key, value]) =>
          value === undefined
            ? Json.remove(["metadata", "annotations", key])
            : Json.set(["metadata", "annotations", key], value)
        )
        const item = Json.patch(text, patches)
        const { process, world } = yield* start([namespace("shop")])
        const wish = restoreOf("r", {}, { "velero-cnpg/recovery-target": point + timeline })
        const result = yield* Effect.result(process.restore(restoreAction, item, wish, item))
        if (Result.isFailure(result)) {
          assert.match(result.failure._tag, /^(UnreachableTarget|InvalidSetting)$/)
          assert.deepStrictEqual(world.configMaps(), [])
          return
        }
        assert.notStrictEqual(point, "tomorrow")
        const { text: restored, tree } = result.success
        assert.deepStrictEqual(webhookProblems(tree), [])
        const owned = ownedByRestore(item)
        assert.deepStrictEqual(outside(restored, owned), outside(item, owned))
        assert.strictEqual((yield* process.restore(restoreAction, restored, wish, restored)).text, restored)

        const target = (at(tree, "spec", "bootstrap", "recovery", "recoveryTarget") ?? {}) as Tree
        const { backupID, targetTLI, ...ends } = target
        assert.strictEqual(targetTLI, timeline.split(":")[1])
        assert.lengthOf(Object.keys(ends), point === "latest" ? 0 : 1)
        assert.include([undefined, known["velero-cnpg/current-backup-id"]], backupID)
      }),
    options
  )
})

describe("every Cluster", () => {
  it.effect.prop(
    "is restored as one that the webhook takes, or is refused before anything is written",
    { text: anyCluster },
    ({ text }) =>
      Effect.gen(function* () {
        const { process, world } = yield* start([namespace("shop")])
        const result = yield* Effect.result(process.restore(restoreAction, text, restoreOf("r"), text))
        const annotations = (JSON.parse(text) as AnyCluster).metadata.annotations
        if (Result.isFailure(result)) {
          assert.match(result.failure._tag, /^(NotRecoverable|InvalidSetting)$/)
          assert.deepStrictEqual(world.configMaps(), [])
        } else if (!annotations?.["velero-cnpg/serverName"]) {
          assert.isTrue(result.success.isUntouched)
          assert.deepStrictEqual(world.calls, [])
        } else if (annotations["velero-cnpg/recover-from"] === "volumes") {
          const bootstrap = Json.slice(text, ["spec", "bootstrap"])
          assert.strictEqual(Json.slice(result.success.text, ["spec", "bootstrap"]), bootstrap)
        } else {
          assert.deepStrictEqual(webhookProblems(result.success.tree), [])
        }
      }),
    options
  )

  it.effect.prop(
    "keeps, where one lives already, what that one has",
    { text: anyCluster, live: anyTree },
    ({ live, text }) =>
      Effect.gen(function* () {
        const { name, namespace: home } = (JSON.parse(text) as AnyCluster).metadata
        const living = json({
          ...live,
          metadata: { ...live.metadata, name, namespace: home }
        }) as unknown as KubernetesObject
        const { process, world } = yield* start([namespace("shop"), living])
        const wish = restoreOf("r", {}, { "velero-cnpg/recover-from": "object-store" })
        const { isUntouched, text: kept, tree } = yield* process.restore(restoreAction, text, wish, text)
        if (isUntouched) return
        assert.deepStrictEqual(world.configMaps(), [])
        for (const field of ["plugins", "bootstrap", "externalClusters", "replica"]) {
          assert.deepStrictEqual(at(tree, "spec", field), at(living["spec"] ?? {}, field), field)
        }
        assert.deepStrictEqual(
          at(tree["spec"] ?? {}, "backup") === null ? undefined : at(tree, "spec", "backup", "barmanObjectStore"),
          at(at(living["spec"] ?? {}, "backup") ?? {}, "barmanObjectStore")
        )
        const owned = [
          ["status"],
          ...["resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"].map((key) => [
            "metadata",
            key
          ]),
          ...["plugins", "bootstrap", "externalClusters", "replica"].map((key) => ["spec", key]),
          ["spec", "backup", "barmanObjectStore"],
          ...annotationPaths(...recordedKeys)
        ]
        assert.deepStrictEqual(outside(kept, owned), outside(text, owned))
        assert.strictEqual((yield* process.restore(restoreAction, kept, wish, kept)).text, kept)
      }),
    options
  )

  it.effect.prop(
    "is backed up with its two annotations changed and nothing else, and once more the same",
    { text: anyCluster, hasBackup: Schema.Boolean },
    ({ hasBackup, text }) =>
      Effect.gen(function* () {
        const { name } = (JSON.parse(text) as AnyCluster).metadata
        const backup = completed("good", "2026-11-19T02:00:00Z")
        const theirs = { ...backup, spec: { ...(backup["spec"] as Tree), cluster: { name } } }
        const { process, world } = yield* start(hasBackup ? [theirs] : [])
        const owned = annotationPaths(...recordedKeys)
        const first = yield* process.backUp(backupAction, text)
        assert.deepStrictEqual(outside(first.text, owned), outside(text, owned))
        assert.strictEqual(first.lines.length, 1)
        const annotations = at(first.tree, "metadata", "annotations") as
          | Readonly<Record<string, string>>
          | null
          | undefined
        const id = annotations?.["velero-cnpg/current-backup-id"]
        if (id !== undefined) {
          assert.isTrue(hasBackup)
          assert.strictEqual(id, "id-of-good")
          assert.isString(annotations?.["velero-cnpg/serverName"])
        }
        assert.notStrictEqual(annotations?.["velero-cnpg/serverName"], "")
        assert.isTrue((yield* process.backUp(backupAction, first.text)).isUntouched)
        assert.isTrue((yield* (yield* startProcess(world)).backUp(backupAction, first.text)).isUntouched)
      }),
    options
  )
})

describe("every object with a Cluster's label", () => {
  const cnpg = "postgresql.cnpg.io/v1"
  const reference = all({
    apiVersion: oneOf(cnpg, cnpg, cnpg, "v1"),
    kind: oneOf("Cluster", "Cluster", "Service", "Job", "Pooler"),
    name: oneOf("orders", "orders", "orders-rw", "audit"),
    uid: oneOf("uid-of-orders", "uid-of-orders", "uid-of-another")
  })
  const tree = all({
    kind: oneOf(
      "PersistentVolumeClaim",
      "Pod",
      "Service",
      "Job",
      "Endpoints",
      "Endpoints",
      "EndpointSlice",
      "EndpointSlice",
      "PodDisruptionBudget"
    ),
    metadata: all({
      name: oneOf("orders-rw", "orders-1"),
      namespace: Arbitrary.Constant("shop"),
      labels: all({ "cnpg.io/cluster": oneOf("orders", "orders", "audit") }),
      annotations: maybe(
        all({
          "velero-cnpg/owned-by-cluster": perhaps(oneOf("orders", "")),
          "velero-cnpg/current-backup-id": perhaps(oneOf("old", "")),
          other: perhaps(text)
        })
      ),
      ownerReferences: maybe(array(reference, { maxLength: 2 }))
    }),
    spec: maybe(anyJson)
  })
  const labelled = Arbitrary.map(all({ tree, style }), (each) => print(each.tree, each.style))

  it.effect.prop(
    "is marked or unmarked and nothing else, once more the same, and skipped exactly when it is marked",
    { text: labelled },
    ({ text }) =>
      Effect.gen(function* () {
        const owner = { apiVersion: "postgresql.cnpg.io/v1", kind: "Cluster", name: "orders", uid: "uid-of-orders" }
        const labels = { "cnpg.io/cluster": "orders" }
        const { process } = yield* start([
          cluster({ plugins: [{ name: barman, parameters: { barmanObjectName: "s" } }] }),
          completed("good", "2026-11-19T02:00:00Z"),
          {
            apiVersion: "v1",
            kind: "Service",
            metadata: { name: "orders-rw", namespace: "shop", labels, ownerReferences: [owner] }
          }
        ])
        const owned = annotationPaths("owned-by-cluster", "current-backup-id", "recover-from")
        const stored = yield* process.backUp(ownedBackupAction, text)
        assert.deepStrictEqual(outside(stored.text, owned), outside(text, owned))
        assert.isTrue((yield* process.backUp(ownedBackupAction, stored.text)).isUntouched)

        // Owned, in other words: by the Cluster, or through the one Service that it owns.
        const { kind, metadata } = JSON.parse(text) as Of<typeof tree>
        const references = metadata.ownerReferences ?? []
        const isCluster = (each: Of<typeof reference>) => each.kind === "Cluster" && each.apiVersion === cnpg
        const direct = references.find(isCluster)
        const isThroughService =
          metadata.labels["cnpg.io/cluster"] === "orders" &&
          ((kind === "Endpoints" && metadata.name === "orders-rw") ||
            (kind === "EndpointSlice" && references.find((each) => each.kind === "Service")?.name === "orders-rw"))
        const isOwned =
          direct === undefined ? isThroughService : direct.name === "orders" && direct.uid === "uid-of-orders"
        const restored = yield* process.restore(ownedRestoreAction, stored.text, restoreOf("r"))
        assert.strictEqual(restored.skip, isOwned)
        assert.strictEqual(
          at(stored.tree, "metadata", "annotations", "velero-cnpg/current-backup-id"),
          isOwned ? "id-of-good" : undefined
        )
        assert.isTrue(restored.isUntouched)
      }),
    options
  )
})

describe("every Deployment", () => {
  const container = oneOf("wait-for-migration-job", "a", "b", "wait")

  it.effect.prop(
    "keeps its other init containers byte for byte and in order",
    { names: array(container), style },
    ({ names, style }) =>
      Effect.gen(function* () {
        const list = ["spec", "template", "spec", "initContainers"]
        const text = print(
          {
            metadata: { name: "web" },
            spec: { template: { spec: { initContainers: names.map((name) => ({ name })), z: 1 } } }
          },
          style
        )
        const { process } = yield* start([])
        const outcome = yield* process.restore(deploymentAction, text)
        const keptAt = names.flatMap((name, index) => (name === "wait-for-migration-job" ? [] : [index]))
        const kept = keptAt.map((index) => Json.slice(text, [...list, index]))
        assert.deepStrictEqual(outside(outcome.text, [list]), outside(text, [list]))
        assert.deepStrictEqual(
          kept.map((_, index) => Json.slice(outcome.text, [...list, index])),
          kept
        )
        assert.isUndefined(Json.slice(outcome.text, [...list, kept.length]))
        if (kept.length === 0 && names.length > 0) assert.isUndefined(Json.slice(outcome.text, list))
        assert.strictEqual(outcome.isUntouched, kept.length === names.length)
      }),
    options
  )
})

describe("every generated Secret", () => {
  const label = oneOf("shop", "shop-2", "svc", "a", "orders-rw", "default")

  it.effect.prop(
    "names the new namespace in its hosts, and keeps user, password and database, whatever they are",
    { user: text, password: text, database: text, from: label, to: label, style },
    ({ database, from, password, style, to, user }) =>
      Effect.gen(function* () {
        const encode = (text: string) => encodeURIComponent(text.toWellFormed())
        const base64 = (text: string) => Buffer.from(text, "utf8").toString("base64")
        const stringsIn = (home: string) => ({
          uri: `postgresql://${encode(user)}:${encode(password)}@orders-rw.${home}:5432/${encode(database)}`,
          "jdbc-uri": `jdbc:postgresql://orders-rw.${home}:5432/${encode(database)}?password=${encode(password)}&user=${encode(user)}`,
          "fqdn-uri": `postgresql://${encode(user)}:${encode(password)}@orders-rw.${home}.svc.cluster.local:5432/${encode(database)}`,
          password: password.toWellFormed(),
          user: user.toWellFormed(),
          host: "orders-rw",
          pgpass: `orders-rw:5432:${database}:${user}:${password}\n`.toWellFormed()
        })
        const secretIn = (home: string) => ({
          metadata: { name: "orders-app", namespace: from, labels: { "cnpg.io/userType": "app" } },
          data: Object.fromEntries(Object.entries(stringsIn(home)).map(([key, text]) => [key, base64(text)]))
        })
        const { process } = yield* start([])
        const outcome = yield* process.restore(
          secretAction,
          print(secretIn(from), style),
          restoreOf("r", { [from]: to })
        )
        assert.strictEqual(outcome.text, print(secretIn(to), style))
        assert.strictEqual(outcome.isUntouched, from === to)
      }),
    options
  )
})

describe("every set of claims at one instant", () => {
  const claim = all({
    restore: oneOf("r1", "r2"),
    namespace: oneOf("shop", "store", "bank"),
    cluster: oneOf("orders", "orders", "audit"),
    taken: array(oneOf("orders-19700101-000000", "orders-19700101-000001", "audit-19700101-000000")),
    earlier: perhaps(oneOf("orders-19700101-000002", "orders-19691231-235959"))
  })

  it.effect.prop(
    "gets names that are well-formed, one for each Cluster and Restore, and none that was taken",
    {
      claims: array(claim),
      inUse: array(oneOf("orders-19700101-000000", "orders-19700101-000003"))
    },
    ({ claims, inUse }) =>
      Effect.gen(function* () {
        const live = inUse.map((serverName, index) =>
          cluster({ plugins: [{ name: barman, parameters: { serverName } }] }, { name: `live-${index}` })
        )
        const services = yield* Layer.build(Layer.fresh(Layer.provide(ServerNames.layer, makeWorld(live).layer)))
        const issued = yield* Effect.forEach(
          claims,
          ({ cluster: name, earlier, namespace: home, restore, taken }) =>
            Effect.flatMap(ServerNames.ServerNames, (service) =>
              service.issue({ cluster: name, namespace: home, restore, taken: new Set(taken), earlier })
            ),
          { concurrency: "unbounded" }
        ).pipe(Effect.provide(services))

        const byClaim = new Map<string, string>()
        for (const [index, { name }] of issued.entries()) {
          const claim = claims[index]
          const key = [claim?.restore, claim?.namespace, claim?.cluster].join("|")
          const isFirst = !byClaim.has(key)
          assert.match(name, wellFormed)
          assert.strictEqual(byClaim.get(key) ?? name, name)
          if (isFirst) assert.notInclude([...byClaim.values()], name)
          assert.notInclude(inUse as ReadonlyArray<string>, name)
          if (isFirst && name !== claim?.earlier) assert.notInclude((claim?.taken ?? []) as ReadonlyArray<string>, name)
          byClaim.set(key, name)
        }
      }),
    options
  )
})
