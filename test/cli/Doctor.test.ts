import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { program } from "../../src/bin/velero-plugin-cnpg.ts"
import * as Doctor from "../../src/cli/Doctor.ts"
import * as Clusters from "../../src/cli/doctor/Clusters.ts"
import * as Installation from "../../src/cli/doctor/Installation.ts"
import * as Rights from "../../src/cli/doctor/Rights.ts"
import * as Render from "../../src/cli/Render.ts"
import * as Kubernetes from "../../src/kubernetes/ApiServer.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import * as Manifests from "../../src/kubernetes/Manifests.ts"
import * as ApiServer from "../../src/testing/ApiServer.ts"
import * as World from "../cnpg/World.ts"
import { capture } from "./Capture.ts"

type Objects = ReadonlyArray<KubernetesObject>

const container = (image: string, more: World.Tree = {}) => ({ name: "main", image, ...more })

const deployment = (namespace: string, name: string, spec: World.Tree): KubernetesObject => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { namespace, name },
  spec: { template: { spec } }
})

/** As `velero install` makes it. */
const velero = (spec: World.Tree = {}): KubernetesObject =>
  deployment("velero", "velero", {
    serviceAccountName: "velero",
    containers: [
      {
        name: "velero",
        image: "velero/velero:v1.18.1",
        command: ["/velero"],
        args: ["server", "--features="],
        volumeMounts: [
          { name: "plugins", mountPath: "/plugins" },
          { name: "scratch", mountPath: "/scratch" }
        ]
      }
    ],
    initContainers: [
      {
        name: "velero-plugin-cnpg",
        image: "registry.example.com:5000/mirror/velero-plugin-cnpg:0.1.0",
        volumeMounts: [{ name: "plugins", mountPath: "/target" }]
      },
      { name: "other", image: "busybox", volumeMounts: [{ name: "scratch", mountPath: "/target" }] }
    ],
    ...spec
  })

const operators: Objects = [
  deployment("cnpg-system", "cnpg-controller-manager", {
    containers: [container("ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0")]
  }),
  deployment("cnpg-system", "barman-cloud", {
    containers: [container("ghcr.io/cloudnative-pg/plugin-barman-cloud:v0.14.0@sha256:0123")]
  })
]

const rbac = Result.getOrThrow(
  Manifests.parse("rbac.yaml", Fs.readFileSync(new URL("../../deploy/rbac.yaml", import.meta.url), "utf8"))
)

/** What the operator makes in every namespace with a Cluster. */
const monitoring: KubernetesObject = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { namespace: "shop", name: "cnpg-default-monitoring" }
}

const well: Objects = [...World.shop, monitoring, velero(), ...operators, ...rbac]

const isThe = (kind: string, name: string) => (object: KubernetesObject) =>
  object.kind === kind && object.metadata?.name === name

const without = (kind: string, name: string): Objects => well.filter((object) => !isThe(kind, name)(object))

const changed = (kind: string, name: string, change: (object: KubernetesObject) => KubernetesObject): Objects => {
  assert.isTrue(well.some(isThe(kind, name)), `${kind} ${name}`)
  return well.map((object) => (isThe(kind, name)(object) ? change(object) : object))
}

const withLabel = (object: KubernetesObject): KubernetesObject => ({
  ...object,
  metadata: { ...object.metadata, labels: { ...object.metadata?.labels, "velero.io/exclude-from-backup": "true" } }
})

const withAnnotations = (annotations: Readonly<Record<string, string>>) => (object: KubernetesObject) => ({
  ...object,
  metadata: { ...object.metadata, annotations: { ...object.metadata?.annotations, ...annotations } }
})

const withSpec = (spec: World.Tree) => (object: KubernetesObject) => ({
  ...object,
  spec: { ...(object["spec"] as World.Tree), ...spec }
})

const withArchiving = (status: string | undefined) => (object: KubernetesObject) => ({
  ...object,
  status: {
    conditions:
      status === undefined ? [] : [{ type: "ContinuousArchiving", status, message: "no space left in the bucket" }]
  }
})

const serve = (objects: Objects, options: ApiServer.Options = {}) =>
  ApiServer.make({ tls: false, ...options, objects: World.json(objects) as ReadonlyArray<ApiServer.KubernetesObject> })

const kubeconfigOf = (server: ApiServer.ApiServer) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "doctor-"))),
      (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
    ),
    (directory) => {
      const file = Path.join(directory, "kubeconfig")
      Fs.writeFileSync(file, server.kubeconfig)
      return file
    }
  )

const examineOn = (server: ApiServer.ApiServer, options: Partial<Doctor.Options> = {}) =>
  Effect.gen(function* () {
    const kubeconfig = yield* kubeconfigOf(server)
    yield* World.itIs("2026-11-19T09:30:00Z")
    return yield* Doctor.examine({ veleroNamespace: "velero", ...options }).pipe(
      Effect.provide(
        Kubernetes.layerWith({ kubeconfig }).pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({}))))
      )
    )
  })

const examine = (objects: Objects, options: Partial<Doctor.Options> = {}) =>
  Effect.flatMap(serve(objects), (server) => examineOn(server, options))

/** All findings, each with its level. */
const findings = ({ clusters, installation, rights }: Doctor.Report): ReadonlyArray<string> =>
  [...installation.findings, ...(rights?.findings ?? []), ...clusters.flatMap((cluster) => cluster.findings)].map(
    ({ level, message }) => `${level}: ${message}`
  )

describe("a cluster that is well", () => {
  it.effect("is told as it is, and nothing but read", () =>
    Effect.gen(function* () {
      const server = yield* serve(well)
      const report = yield* examineOn(server)
      assert.deepStrictEqual(findings(report), [])
      assert.deepStrictEqual(World.json(report.clusters), [
        {
          namespace: "shop",
          name: "orders",
          archive: {
            kind: "object-store",
            objectStore: "orders-store",
            serverName: "orders-v1",
            firstRecoverabilityPoint: "2026-11-17T10:06:47Z"
          },
          backup: {
            id: "20261119T020003",
            name: "orders-daily-20261119020000",
            endedAt: "2026-11-19T02:01:41Z",
            ageSeconds: 26_899
          },
          archiving: true,
          findings: [],
          recoverable: true
        }
      ])
      assert.isTrue(report.recoverable)
      assert.deepStrictEqual([...new Set(server.requests().map(({ method }) => method))], ["GET"])
    })
  )

  it.effect("is told to people", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        Doctor.render(yield* examine(well), Render.style(false)),
        `Installed
  Velero        v1.18.1, Deployment velero/velero, image velero/velero:v1.18.1
  plugins       /plugins, from velero-plugin-cnpg (registry.example.com:5000/mirror/velero-plugin-cnpg:0.1.0)
  CloudNativePG 1.30.0, Deployment cnpg-system/cnpg-controller-manager, image ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0
  Barman Cloud  v0.14.0, Deployment cnpg-system/barman-cloud, image ghcr.io/cloudnative-pg/plugin-barman-cloud:v0.14.0@sha256:0123
  rights        velero/velero has all that the plugin needs

Cluster shop/orders: recoverable
  archive       ObjectStore orders-store, server name orders-v1, recoverable from 2026-11-17T10:06:47Z on
  newest backup 20261119T020003 (CNPG Backup orders-daily-20261119020000), ended at 2026-11-19T02:01:41Z, 7h ago
  WAL archiving works

1 Cluster, 0 not recoverable. Nothing stands in the way of a restore.`
      )
    })
  )

  it.effect("may have no Clusters", () =>
    Effect.gen(function* () {
      const report = yield* examine(well, { namespace: "elsewhere" })
      assert.deepStrictEqual([report.clusters, report.recoverable], [[], true])
      assert.include(Doctor.render(report, Render.style(false)), "There are no Clusters.")
    })
  )
})

const spec = (more: World.Tree) => changed("Cluster", "orders", withSpec(more))
const backups = (keep: (object: KubernetesObject) => boolean) =>
  well.filter((object) => object.kind !== "Backup" || keep(object))

describe("what stands in the way", () => {
  it.effect.each<readonly [what: string, objects: Objects, finding: RegExp]>([
    ["no archive", spec({ plugins: [] }), /^error: it has no archive/],
    ["another plugin's archive", spec({ plugins: [{ name: "a.io", isWALArchiver: true }] }), /^error: .* plugin a\.io/],
    [
      "two archives",
      spec({ plugins: [{ name: World.barman }, { name: World.barman }] }),
      /^error: .* none says isWALArchiver/
    ],
    ["an archiver without store", spec({ plugins: [World.archiver({})] }), /^error: .* no parameter barmanObjectName/],
    ["no ObjectStore", without("ObjectStore", "orders-store"), /^error: ObjectStore orders-store .* does not exist/],
    ["no credentials", without("Secret", "orders-store-s3"), /^error: Secret orders-store-s3 .* does not exist/],
    ["no monitoring", without("ConfigMap", "cnpg-default-monitoring"), /^warning: ConfigMap cnpg-default-monitoring/],
    ["a Secret in no backup", changed("Secret", "orders-store-s3", withLabel), /^error: Secret .* is in no backup/],
    ["a Cluster in no backup", changed("Cluster", "orders", withLabel), /^error: it is in no backup/],
    ["no backup in this life", backups(() => false), /^error: it has no completed CNPG Backup, though its archive/],
    [
      "no backup at all",
      backups(() => false).map((object) => (object.kind === "ObjectStore" ? { ...object, status: {} } : object)),
      /^error: it has no completed backup\. Make one/
    ],
    [
      "a backup that is gone",
      backups(({ metadata }) => metadata?.name !== "orders-daily-20261119020000").map((object) =>
        object.kind === "ObjectStore"
          ? {
              ...object,
              status: { serverRecoveryWindow: { "orders-v1": { firstRecoverabilityPoint: "2026-11-18T02:01:37Z" } } }
            }
          : object
      ),
      /^error: its newest completed backup 20261118T020003 ended at .* it has that backup no more/
    ],
    [
      "failing archiving",
      changed("Cluster", "orders", withArchiving("False")),
      /^error: WAL archiving fails: no space left in the bucket\./
    ],
    ["unknown archiving", changed("Cluster", "orders", withArchiving(undefined)), /^warning: whether WAL archiving/],
    [
      "archiving that is switched off",
      changed("Cluster", "orders", withAnnotations({ "cnpg.io/skipWalArchiving": "enabled" })),
      /^error: annotation cnpg\.io\/skipWalArchiving/
    ],
    ["a spec of no Cluster", spec({ plugins: "all" }), /^error: its spec is not that of a Cluster/],
    ["no Velero", without("Deployment", "velero"), /^error: there is no Velero server in namespace velero/],
    [
      "no plugin",
      changed("Deployment", "velero", () => velero({ initContainers: [] })),
      /^error: no init container of Deployment velero\/velero puts velero-plugin-cnpg into \/plugins/
    ],
    [
      "an old Velero",
      changed("Deployment", "velero", () =>
        velero({ containers: [{ name: "velero", image: "velero/velero:v1.11.1", args: ["server"] }] })
      ),
      /^error: Velero v1\.11\.1 is too old/
    ],
    [
      "two that are called alike",
      changed("Deployment", "velero", () =>
        velero({
          initContainers: ["go", "velero-plugin-cnpg"].map((name) => ({
            name,
            image: `registry/${name}/velero-plugin-cnpg:v1`,
            volumeMounts: [{ name: "plugins", mountPath: "/target" }]
          }))
        })
      ),
      /^error: init containers go \(registry\/go\/velero-plugin-cnpg:v1\), velero-plugin-cnpg \(.*\) of Deployment velero\/velero all put velero-plugin-cnpg into \/plugins: .* Remove all but one/
    ],
    [
      "an annotation that means nothing",
      changed("Cluster", "orders", withAnnotations({ "velero-cnpg/on-demand-backup": "yes" })),
      /^error: annotation velero-cnpg\/on-demand-backup on Cluster shop\/orders is "yes"; it can be true or false\. Correct it and back up again$/
    ],
    [
      "a first backup that is made for each Velero backup",
      changed("Cluster", "orders", withAnnotations({ "velero-cnpg/on-demand-backup": "true" })).filter(
        ({ kind }) => kind !== "Backup"
      ),
      /^warning: it has no completed CNPG Backup yet: the next Velero backup makes the first, as velero-cnpg\/on-demand-backup asks for it$/
    ],
    ["no operator", without("Deployment", "cnpg-controller-manager"), /^warning: no Deployment has an image/],
    [
      "no rights",
      well.filter(({ kind }) => kind !== "ClusterRoleBinding"),
      /^error: service account velero\/velero may not list backups\.postgresql\.cnpg\.io; .*patch configmaps cnpg-velero-override\. Apply/
    ],
    [
      "no right to its own ConfigMaps",
      well.filter(({ kind, metadata }) => kind !== "RoleBinding" || metadata?.namespace !== "velero"),
      /^warning: service account velero\/velero may not list configmaps in its own namespace\. Apply/
    ]
  ])("%s", ([, objects, expected]) =>
    Effect.gen(function* () {
      const report = yield* examine(objects)
      const found = findings(report)
      assert.isTrue(
        found.some((finding) => expected.test(finding)),
        found.join("\n")
      )
      assert.strictEqual(report.recoverable, !found.some((finding) => finding.startsWith("error")))
      const text = Doctor.render(report, Render.style(false))
      for (const finding of found) {
        assert.include(text, finding.replace(/^error: /, "  ! ").replace(/^warning: /, "  ? "))
      }
      assert.strictEqual(text.includes("Nothing stands in the way"), report.recoverable)
    })
  )

  it.effect("is no error where the user wants the volumes", () =>
    Effect.gen(function* () {
      const cluster = withAnnotations({ "velero-cnpg/recover-from": "volumes" })
      const report = yield* examine(
        changed("Cluster", "orders", (object) => withSpec({ plugins: [] })(cluster(object)))
      )
      assert.match(findings(report).join("\n"), /^warning: it has no archive/)
      assert.isTrue(report.recoverable)
    })
  )

  it.effect.each<readonly [what: string, objects: Objects, finding: RegExp]>([
    ["the Cluster", changed("Cluster", "orders", withLabel), /^error: it is in no backup: it has the label/],
    [
      "a volume claim",
      changed("PersistentVolumeClaim", "orders-2", withLabel),
      /^error: PersistentVolumeClaim orders-2 \(its data\) is in no backup: it has the label/
    ],
    [
      "all volume claims",
      well.filter(({ kind }) => kind !== "PersistentVolumeClaim"),
      /^error: it has no volume claims/
    ]
  ])("is an error all the same where that is what keeps the volumes back: %s", ([, objects, expected]) =>
    Effect.gen(function* () {
      const wished = objects.map((object) =>
        isThe("Cluster", "orders")(object) ? withAnnotations({ "velero-cnpg/recover-from": "volumes" })(object) : object
      )
      const report = yield* examine(wished)
      assert.match(findings(report).join("\n"), expected)
      assert.isFalse(report.recoverable)
      assert.notMatch(findings(yield* examine(objects)).join("\n"), /PersistentVolumeClaim|volume claims/)
    })
  )

  it.effect("is that volume claims cannot be read, where the user wants the volumes", () =>
    Effect.gen(function* () {
      const objects = changed("Cluster", "orders", withAnnotations({ "velero-cnpg/recover-from": "volumes" }))
      const server = yield* serve(objects, { authorize: ({ resource }) => resource !== "persistentvolumeclaims" })
      assert.match(
        findings(yield* examineOn(server)).join("\n"),
        /^error: whether its volume claims are in a backup is unknown: may not list persistentvolumeclaims/
      )
    })
  )

  it.effect("is that the cluster has no CloudNativePG", () =>
    Effect.gen(function* () {
      const server = yield* serve(well.filter((object) => !object.apiVersion?.startsWith("postgresql.cnpg.io")))
      server.addFault({ path: /\/postgresql\.cnpg\.io\//, answer: { status: 404 } })
      const report = yield* examineOn(server)
      assert.match(
        findings(report).join("\n"),
        /^error: the API server does not know clusters\.postgresql\.cnpg\.io: install CloudNativePG before you restore/m
      )
      assert.deepStrictEqual([report.clusters, report.recoverable], [[], false])
    })
  )

  it.effect("may be on one Cluster of several, and each is told of", () =>
    Effect.gen(function* () {
      const { clusters, recoverable } = yield* examine([...well, ...World.legacy])
      assert.isFalse(recoverable)
      assert.deepStrictEqual(
        clusters
          .map(({ archive, name, recoverable }) => [name, archive.kind, recoverable])
          .filter(([name]) => name === "orders" || name === "reports"),
        [
          ["reports", "none", false],
          ["orders", "object-store", true]
        ]
      )
    })
  )
})

describe("who may not read", () => {
  const refusing = (refused: ReadonlyArray<string>) =>
    Effect.flatMap(serve(well, { authorize: ({ resource }) => !refused.includes(resource) }), examineOn)

  it.effect.each<readonly [refused: string, finding: RegExp]>([
    ["deployments", /^error: what is installed is unknown: may not list .*Run this as somebody who may$/],
    ["clusterrolebindings", /^warning: the rights of service account velero\/velero are unknown: may not list/],
    ["backups", /^error: its backups cannot be read: may not list .*Run this as somebody who may$/],
    [
      "objectstores",
      /^error: whether ObjectStore orders-store .* exists is unknown: may not get .*Run this as somebody who may$/
    ],
    [
      "secrets",
      /^error: whether Secret orders-store-s3 .* exists is unknown: may not get .*Run this as somebody who may$/
    ]
  ])("%s is told what could not be seen", ([refused, expected]) =>
    Effect.gen(function* () {
      const found = findings(yield* refusing([refused]))
      assert.isTrue(
        found.some((finding) => expected.test(finding)),
        found.join("\n")
      )
    })
  )

  it.effect("Deployments of all namespaces, is told of Velero all the same", () =>
    Effect.gen(function* () {
      const server = yield* serve(well, {
        authorize: ({ namespace, resource }) => resource !== "deployments" || namespace === "velero"
      })
      const report = yield* examineOn(server)
      assert.strictEqual(report.installation.velero?.version, "v1.18.1")
      assert.match(findings(report).join("\n"), /^warning: which CloudNativePG and Barman Cloud plugin there are/)
    })
  )

  it.effect("Clusters, gets no report", () =>
    Effect.gen(function* () {
      const problem = yield* Effect.flip(refusing(["clusters"]))
      assert.match(problem.message, /^may not list clusters\.postgresql\.cnpg\.io/)
    })
  )
})

describe("the command", () => {
  const run = (server: ApiServer.ApiServer, ...args: ReadonlyArray<string>) =>
    Effect.flatMap(kubeconfigOf(server), (kubeconfig) =>
      Effect.promise(() => capture(() => program.commands(["doctor", "--kubeconfig", kubeconfig, ...args])))
    )

  it.live("exits with 0 where all is well, with 1 where it is not, and says so apart from the report", () =>
    Effect.gen(function* () {
      const good = yield* run(yield* serve(well), "--context", "in-process", "-o", "json")
      assert.deepStrictEqual([good.code, good.stderr], [0, ""])
      assert.deepStrictEqual((JSON.parse(good.stdout) as Doctor.Report).recoverable, true)
      const bad = yield* run(yield* serve(without("Secret", "orders-store-s3")), "-o", "json")
      assert.strictEqual(bad.code, 1)
      assert.strictEqual((JSON.parse(bad.stdout) as Doctor.Report).recoverable, false)
      assert.strictEqual(
        bad.stderr,
        "velero-plugin-cnpg: a restore would not recover every Cluster; see the lines marked with !\n"
      )
    })
  )

  it.live("asks the context that it is told, and not the current one", () =>
    Effect.gen(function* () {
      const kubeconfig = yield* kubeconfigOf(yield* serve(well))
      const config = JSON.parse(Fs.readFileSync(kubeconfig, "utf8")) as {
        readonly clusters: ReadonlyArray<unknown>
        readonly contexts: ReadonlyArray<unknown>
      }
      const nowhere = { name: "nowhere", cluster: { server: "http://127.0.0.1:1" } }
      Fs.writeFileSync(
        kubeconfig,
        JSON.stringify({
          ...config,
          clusters: [...config.clusters, nowhere],
          contexts: [...config.contexts, { name: "nowhere", context: { cluster: "nowhere", user: "in-process" } }],
          "current-context": "nowhere"
        })
      )
      const args = ["doctor", "--kubeconfig", kubeconfig, "--context", "in-process"]
      assert.strictEqual((yield* Effect.promise(() => capture(() => program.commands(args)))).code, 0)
    })
  )

  it.live("says which contexts there are", () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run(yield* serve([]), "--context", "production")
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.match(stderr, /there is no context production; there are in-process/)
    })
  )
})

describe("rights", () => {
  it("are those of deploy/rbac.yaml", () => {
    const granted = rbac.flatMap((object) =>
      ((object["rules"] ?? []) as ReadonlyArray<Rights.Rule>).flatMap(
        ({ apiGroups, resourceNames, resources, verbs }) =>
          (apiGroups ?? []).flatMap((group) =>
            (resources ?? []).flatMap((resource) =>
              (verbs ?? []).map((verb) =>
                Rights.describe({
                  group,
                  resource,
                  verb,
                  ...(resourceNames?.[0] === undefined ? {} : { name: resourceNames[0] }),
                  ...(object.kind === "Role" ? { where: "velero" } : {})
                })
              )
            )
          )
      )
    )
    assert.deepStrictEqual(Rights.needed.map(Rights.describe).toSorted(), [...new Set(granted)].toSorted())
  })

  it.each<readonly [rule: Rights.Rule, given: boolean]>([
    [{ apiGroups: ["*"], resources: ["*"], verbs: ["*"] }, true],
    [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get", "patch"], resourceNames: ["a", "b"] }, true],
    [{ apiGroups: [""], resources: ["configmaps"], verbs: ["patch"], resourceNames: ["b"] }, false],
    [{ apiGroups: [""], resources: ["configmaps"], verbs: ["get"] }, false],
    [{ apiGroups: ["apps"], resources: ["configmaps"], verbs: ["*"] }, false],
    [{ apiGroups: [""], resources: ["secrets"], verbs: ["*"] }, false],
    [{}, false]
  ])("by the rule %j: %s", (rule, given) => {
    assert.strictEqual(Rights.gives(rule, { group: "", resource: "configmaps", verb: "patch", name: "a" }), given)
  })
})

describe("words", () => {
  it.each<readonly [image: string, name: string, version: string | null]>([
    ["velero/velero:v1.18.1", "velero", "v1.18.1"],
    ["registry:5000/a/velero", "velero", null],
    ["velero@sha256:0123", "velero", null],
    ["velero:v1@sha256:0123", "velero", "v1"]
  ])("of the image %s", (image, name, version) => {
    assert.deepStrictEqual(Installation.parseImage(image), { name, version })
  })

  it.each<readonly [seconds: number, text: string]>([
    [-5, "0m"],
    [59, "0m"],
    [3599, "59m"],
    [3600, "1h"],
    [86_399, "23h"],
    [172_800, "2d"]
  ])("of an age of %d seconds", (seconds, text) => assert.strictEqual(Clusters.age(seconds), text))
})
