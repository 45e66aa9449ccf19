/** Each right of `deploy/rbac.yaml` alone is denied to the executable, and what comes of it compared with `docs/permissions.md`. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Yaml from "yaml"
import type { LogLine } from "../../src/go-plugin/Client.ts"
import type { KubernetesObject } from "../../src/testing/ApiServer.ts"
import * as Documents from "../example/Document.ts"
import { repository } from "./Executable.ts"
import * as Objects from "./Objects.ts"
import * as Worlds from "./World.ts"
import { bytesOf, example, kind, ownerOf, plugin } from "./World.ts"

const document = "docs/permissions.md"

/** One verb on one resource; `name`: on the object of that name alone. */
interface Right {
  readonly verb: string
  /** `backups.postgresql.cnpg.io` */
  readonly resource: string
  readonly name: string | undefined
  /** In Velero's own namespace alone. */
  readonly isVeleros: boolean
}

const describeRight = ({ isVeleros, name, resource, verb }: Right): string =>
  [
    verb,
    `\`${resource}\``,
    ...(name === undefined ? [] : [`\`${name}\``]),
    ...(isVeleros ? ["of Velero's namespace"] : [])
  ].join(" ")

interface Rule {
  readonly apiGroups: ReadonlyArray<string>
  readonly resources: ReadonlyArray<string>
  readonly verbs: ReadonlyArray<string>
  readonly resourceNames?: ReadonlyArray<string>
}

const granted: ReadonlyArray<Right> = Yaml.parseAllDocuments(
  Fs.readFileSync(Path.join(repository, "deploy/rbac.yaml"), "utf8")
).flatMap((file) => {
  const { kind: role, rules = [] } = file.toJS() as { readonly kind: string; readonly rules?: ReadonlyArray<Rule> }
  return rules.flatMap(({ apiGroups, resourceNames, resources, verbs }) =>
    verbs.flatMap((verb) =>
      resources.map((resource) => ({
        verb,
        resource: apiGroups[0] === "" ? resource : `${resource}.${apiGroups[0] ?? ""}`,
        name: resourceNames?.[0],
        isVeleros: role === "Role"
      }))
    )
  )
})

const phases = ["backup", "backup by label", "on-demand backup", "restore"] as const
type Phase = (typeof phases)[number]

/** The table: of each right, a cell for each phase. */
const documented = new Map(
  [...Documents.read(document).matchAll(/^\| ((?:get|list|create|patch|delete|whatever) .*?) +\|(.*)\|$/gm)].flatMap(
    ([, rights = "", cells = ""]) =>
      rights.split("<br>").map((right) => [right, cells.split("|").map((cell) => cell.trim())] as const)
  )
)

type Attributes = Parameters<NonNullable<NonNullable<Worlds.Options["server"]>["authorize"]>>[0]

/** Everything that reaches beyond a namespace: what RoleBindings cannot give. To read a namespace itself they can. */
const clusterWide = "cluster-wide"

const isDenied = (
  right: Right | typeof clusterWide | undefined,
  { group, name, namespace, resource, verb }: Attributes
): boolean =>
  right === clusterWide
    ? namespace === undefined && resource !== "namespaces"
    : right !== undefined && isOf(right, { group, name, namespace, resource, verb })

const isOf = (right: Right, { group, name, namespace, resource, verb }: Attributes): boolean =>
  verb === right.verb &&
  (group === "" ? resource : `${resource}.${group}`) === right.resource &&
  (right.name === undefined || right.name === name) &&
  // Of all ConfigMaps those of Velero's namespace are asked for by list alone.
  (!right.isVeleros || namespace === "velero")

const selective = (name: string) => ownerOf("Backup", { name }, { labelSelector: { matchLabels: { app: "shop" } } })

const withCatalog = (cluster: KubernetesObject, catalog: string): KubernetesObject => ({
  ...cluster,
  spec: {
    ...(cluster["spec"] as object),
    imageCatalogRef: { apiGroup: "postgresql.cnpg.io", kind: catalog, name: "postgresql", major: 18 }
  }
})

/** What failed of a phase. Every owner has the phase's name: actions remember what they have read for one. */
type Rehearsal = (session: Worlds.Session, owner: string) => Effect.Effect<ReadonlyArray<string>>

const failures = (results: ReadonlyArray<Result.Result<unknown, { readonly message: string }>>) =>
  results.flatMap((result) => (Result.isFailure(result) ? [result.failure.message] : []))

const rehearse = Effect.gen(function* () {
  const objects = yield* example("shop")
  let denied: Right | typeof clusterWide | undefined
  const world = yield* Worlds.make({
    objects,
    server: { authorize: (attributes) => !isDenied(denied, attributes) }
  })
  const the = (itemKind: string, name: string): KubernetesObject => {
    const found = objects.find((object) => object.kind === itemKind && object.metadata.name === name)
    assert.isDefined(found, `${itemKind} ${name}`)
    return found as KubernetesObject
  }
  const orders = the("Cluster", "orders")
  const secret = the("Secret", "orders-app")
  const referring = [
    ...["ImageCatalog", "ClusterImageCatalog"].map((catalog) => withCatalog(orders, catalog)),
    the("ObjectStore", "orders-store")
  ]
  const owned = objects.filter(({ kind: itemKind }) => ["Endpoints", "PersistentVolumeClaim"].includes(itemKind))
  assert.isNotEmpty(owned)
  const podOfJob = Objects.owned("v1", "Pod", "shop", "orders-1-initdb-x", "orders", {
    apiVersion: "batch/v1",
    kind: "Job",
    name: "orders-1-initdb",
    uid: "uid-of-job"
  })
  const { text: stored } = yield* world.session(({ backup }) => backup(plugin.clusterBackup, orders))

  const all = <E extends { readonly message: string }>(
    ...effects: ReadonlyArray<Effect.Effect<unknown, E>>
  ): Effect.Effect<ReadonlyArray<string>> => Effect.map(Effect.forEach(effects, Effect.result), failures)

  const rehearsals: Readonly<Record<Phase, Rehearsal>> = {
    backup: ({ backup }, name) =>
      all(
        ...[...owned, podOfJob].map((item) => backup(plugin.ownedBackup, item, { name })),
        backup(plugin.clusterBackup, orders, { name }),
        ...referring.map((item) => backup(plugin.contentsBackup, item, { name }))
      ),
    "backup by label": ({ backup }, name) =>
      all(
        ...[...owned, podOfJob].map((item) => backup(plugin.ownedBackup, item, { backup: selective(name) })),
        backup(plugin.clusterBackup, orders, { backup: selective(name) }),
        ...referring.map((item) => backup(plugin.contentsBackup, item, { backup: selective(name) }))
      ),
    "on-demand backup": ({ backup, client }, name) =>
      Effect.gen(function* () {
        const owner = ownerOf("Backup", { name, annotations: { "velero-cnpg/on-demand-backup": "true" } })
        const begun = yield* Effect.result(backup(plugin.clusterBackup, orders, { backup: owner }))
        if (Result.isFailure(begun)) return [begun.failure.message]
        const call = { plugin: plugin.clusterBackup, operationID: begun.success.operationID, backup: bytesOf(owner) }
        const velero = yield* Effect.orDie(client)
        const progress = Effect.flatMap(velero.backupItemActionV2.progress(call), ({ progress: said }) =>
          said?.err ? Effect.fail({ message: said.err }) : Effect.void
        )
        return yield* all<{ readonly message: string }>(progress, velero.backupItemActionV2.cancel(call))
      }),
    restore: ({ client, restore }, name) =>
      Effect.gen(function* () {
        const annotations = { "velero-cnpg/recovery-target": "backup" }
        const restored = yield* Effect.result(restore(plugin.clusterRestore, stored, { name, annotations }))
        const others = yield* all(
          ...referring.map((item) => restore(plugin.contentsRestore, item, { name })),
          restore(plugin.secretRestore, secret, { name, existingResourcePolicy: "update" })
        )
        if (Result.isFailure(restored)) return [restored.failure.message, ...others]
        const { operationID, text } = restored.success
        const velero = yield* Effect.orDie(client)
        // Nothing has happened since.
        world.cluster.put({
          ...(JSON.parse(text) as KubernetesObject),
          metadata: { name: "orders", namespace: "shop", creationTimestamp: "2026-01-01T00:00:00Z" },
          status: { phase: "Setting up primary", targetPrimary: "orders-1" }
        })
        const ask = (operation: string) =>
          Effect.map(
            velero.restoreItemActionV2.progress({
              plugin: plugin.clusterRestore,
              operationID: operation,
              restore: bytesOf(ownerOf("Restore", { name }))
            }),
            ({ progress: said }) => said?.err ?? ""
          )
        const waiting = yield* Effect.result(ask(operationID))
        const late = yield* Effect.result(
          ask(operationID.replace(/since \S+ within/, "since 2026-01-01T00:00:00Z within"))
        )
        world.cluster.remove(kind.cluster, "shop", "orders")
        // That it is given up is what was asked for.
        return [
          ...others,
          ...failures([waiting, late]),
          ...(Result.isSuccess(waiting) && waiting.success !== "" ? [waiting.success] : [])
        ]
      })
  }

  const outcomes = yield* world.session((session) =>
    Effect.forEach([undefined, clusterWide, ...granted] as const, (right, index) =>
      Effect.forEach(phases, (phase) =>
        Effect.gen(function* () {
          const owner = `${phase.replaceAll(" ", "-")}-${index}`
          if (phase === "restore") world.cluster.remove(kind.cluster, "shop", "orders")
          else world.cluster.put(orders)
          world.cluster.remove(kind.configMap, "shop", Worlds.overrideName)
          world.cluster.clearRequests()
          denied = right
          const failed = yield* rehearsals[phase](session, owner)
          denied = undefined
          return { right, phase, owner, failed, isAsked: world.cluster.requests().some(({ status }) => status === 403) }
        })
      )
    )
  )
  const levels = (owner: string): ReadonlyArray<LogLine["level"]> =>
    world
      .logs()
      .filter(
        ({ fields, message }) =>
          Object.values(fields).some((field) => field === owner || field === `velero/${owner}`) &&
          message.includes("may not")
      )
      .map(({ level }) => level)
  return outcomes.flat().map(({ failed, isAsked, owner, phase, right }) => {
    const said = levels(owner)
    const outcome = !isAsked
      ? ""
      : failed.length > 0
        ? "error"
        : said.includes("warn")
          ? "warning"
          : said.includes("info")
            ? "info"
            : "silent"
    return { right, phase, outcome, failed }
  })
})

describe(document, () => {
  it("has every right of deploy/rbac.yaml, and no other", () => {
    assert.deepStrictEqual(
      [...documented.keys()].toSorted(),
      [...granted.map(describeRight), "whatever is cluster-wide"].toSorted()
    )
  })

  it.live("says what happens without each", () =>
    Effect.gen(function* () {
      const outcomes = yield* rehearse
      for (const { failed, right } of outcomes) if (right === undefined) assert.deepStrictEqual(failed, [])
      const seen = Map.groupBy(
        outcomes.flatMap(({ outcome, right }) =>
          right === undefined
            ? []
            : [{ outcome, name: right === clusterWide ? "whatever is cluster-wide" : describeRight(right) }]
        ),
        ({ name }) => name
      )
      assert.deepStrictEqual(
        Object.fromEntries([...seen].map(([right, each]) => [right, each.map(({ outcome }) => outcome)])),
        Object.fromEntries([...documented].map(([right, cells]) => [right, cells.slice(0, phases.length)]))
      )
    })
  )

  it("links to what exists", () => Documents.assertLinks(document))
})
