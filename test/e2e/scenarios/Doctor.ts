/**
 * `doctor` on a real API server with a real Cluster, and on what `velero install` makes of it: what is wrong is told, and what the exit
 * code is.
 *
 * Velero and the operator run as processes here. Their Deployments are made for the doctor to look at: Velero's by its own command
 * line, in a namespace of its own.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Yaml from "yaml"
import packageJson from "../../../package.json" with { type: "json" }
import type { Report } from "../../../src/cli/Doctor.ts"
import { storeName } from "../Cluster.ts"
import * as Components from "../Components.ts"
import * as Namespace from "../Namespace.ts"
import type { Anything, Saved } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import { untilTrue } from "../Poll.ts"
import { Processes } from "../Processes.ts"
import type { Scenario } from "../Scenario.ts"
import { newest } from "../Scenario.ts"
import { readManifests } from "../servers/Servers.ts"
import type { User } from "../servers/Kubernetes.ts"
import { Stand } from "../Stand.ts"
import type { StandError } from "../Stand.ts"
import * as Verify from "../Verify.ts"
import * as Shop from "./Shop.ts"

const namespace = "doctor"
const installation = "doctor-velero"
const operatorNamespace = "cnpg-system"
const plugin = `${packageJson.config.image}:v${packageJson.version}`

interface Answer {
  readonly code: 0 | 1
  readonly report: Report
  /** `error: it has no …`, of everything. */
  readonly findings: ReadonlyArray<string>
}

interface Question {
  readonly user?: User
  readonly velero?: string
  readonly namespace?: string
}

const ask = Effect.fnUntraced(function* (question: Question = {}) {
  const { executables, kubeconfig } = yield* Stand
  const processes = yield* Processes
  const args = ["doctor", `--kubeconfig=${kubeconfig(question.user ?? "admin")}`, "--output=json"]
  const { code, stdout } = yield* processes
    .run(executables.cnpg, [
      ...args,
      `--velero-namespace=${question.velero ?? installation}`,
      `--namespace=${question.namespace ?? namespace}`
    ])
    .pipe(
      Effect.map((stdout) => ({ code: 0 as const, stdout })),
      Effect.catchIf(
        ({ reason, stdout = "" }) => reason === "exit code 1" && stdout.startsWith("{"),
        ({ stdout = "" }) => Effect.succeed({ code: 1 as const, stdout })
      )
    )
  const report = JSON.parse(stdout) as Report
  const { clusters, installation: installed, rights } = report
  return {
    code,
    report,
    findings: [
      ...installed.findings,
      ...(rights?.findings ?? []),
      ...clusters.flatMap((cluster) => cluster.findings)
    ].map(({ level, message }) => `${level}: ${message}`)
  } satisfies Answer
})

/** What `velero install` makes, with the plugin among its init containers, and its service account's rights; no pod is asked for. */
const install = Effect.gen(function* () {
  const { kubectl, velero } = yield* Stand
  const { directory } = yield* Processes
  const flags = ["--no-secret", "--no-default-backup-location", "--use-volume-snapshots=false", "--dry-run", "-o=yaml"]
  const made = Path.join(directory, "doctor-install.yaml")
  const plugins = `--plugins=velero/velero-plugin-for-aws:v1.14.0,${plugin}`
  Fs.writeFileSync(made, yield* velero("--namespace", installation, "install", plugins, ...flags))
  const objects = readManifests(made)
    .filter(({ kind }) => kind !== "CustomResourceDefinition")
    .map((object) => (object.kind === "Deployment" ? { ...object, spec: { ...object.spec, replicas: 0 } } : object))
  Fs.writeFileSync(made, objects.map((object) => Yaml.stringify(object)).join("---\n"))
  yield* kubectl("apply", `--filename=${made}`)
  return made
})

const deploymentOf = (name: string, image: string) => ({
  metadata: { name, namespace: operatorNamespace },
  spec: {
    replicas: 0,
    selector: { matchLabels: { name } },
    template: { metadata: { labels: { name } }, spec: { containers: [{ name: "manager", image }] } }
  }
})

const operators = [
  deploymentOf("doctor-cnpg", `ghcr.io/cloudnative-pg/cloudnative-pg:${newest.operator}`),
  deploymentOf("doctor-barman-cloud", `ghcr.io/cloudnative-pg/plugin-barman-cloud:v${Components.barmanCloud.version}`)
]

/** What the instance manager reports of archiving. */
const reportArchiving = (status: "True" | "False") =>
  Effect.gen(function* () {
    const { api } = yield* Stand
    const cluster = yield* api.get(Objects.clusters, namespace, Shop.cluster)
    const others = ((cluster.status as { readonly conditions?: ReadonlyArray<{ readonly type: string }> } | undefined)
      ?.conditions ?? []) as ReadonlyArray<{ readonly type: string }>
    const condition = {
      type: "ContinuousArchiving",
      status,
      reason: status === "True" ? "ContinuousArchivingSuccess" : "ContinuousArchivingFailing",
      message: status === "True" ? "Continuous archiving is working" : "exit status 4",
      lastTransitionTime: "2026-11-04T02:00:00Z"
    }
    const conditions = [...others.filter(({ type }) => type !== condition.type), condition]
    yield* api.patch(Objects.clusters, namespace, Shop.cluster, { status: { conditions } }, "status")
  })

/** A merge patch of the Cluster's annotations; `null` takes one away. */
const annotate = (annotations: Readonly<Record<string, string | null>>) =>
  Effect.flatMap(Stand, ({ api }) =>
    api.patch(Objects.clusters, namespace, Shop.cluster, { metadata: { annotations } })
  )

const label = (resource: Objects.Resource<never>, name: string, value: string | null) =>
  Effect.flatMap(Stand, ({ api }) =>
    api.patch(resource, namespace, name, { metadata: { labels: { "velero.io/exclude-from-backup": value } } })
  )

/** Without it, and then with it as it was. */
const without = (resource: Objects.Resource<Anything>, within: string, name: string) => {
  let kept: Saved<Anything> | undefined
  return {
    change: Effect.flatMap(Stand, ({ api }) =>
      Effect.gen(function* () {
        kept = yield* api.get(resource, within, name)
        yield* api.remove(resource, within, name)
        yield* untilTrue(
          `${resource.kind} ${within}/${name} is gone`,
          "20 seconds",
          Effect.map(api.find(resource, within, name), (found) => found === undefined)
        )
      })
    ),
    undo: Effect.flatMap(Stand, ({ api }) => {
      if (kept === undefined) return Effect.void
      const { labels, annotations } = kept.metadata
      const {
        metadata: _,
        status: __,
        apiVersion: ___,
        kind: ____,
        ...rest
      } = kept as Saved<Anything> & {
        readonly status?: unknown
        readonly apiVersion?: unknown
      }
      return api.apply(resource, {
        ...rest,
        metadata: {
          name,
          namespace: within,
          ...(labels === undefined ? {} : { labels }),
          ...(annotations === undefined ? {} : { annotations })
        }
      } as never)
    })
  }
}

type Step = Effect.Effect<unknown, StandError, Stand | Verify.Verify | Processes>

interface Trouble {
  readonly what: string
  readonly change: Step
  readonly undo: Step
  readonly question?: Question
  /** The exit code. */
  readonly code: 0 | 1
  /** Each is told, and nothing else. */
  readonly findings: ReadonlyArray<RegExp>
}

const nothing = Effect.void

const wantVolumes = annotate({ "velero-cnpg/recover-from": "volumes" })
const wantArchive = annotate({ "velero-cnpg/recover-from": null })

/** CNPG Backups of the Cluster go, and come back as they were. */
const backups = () => {
  let kept: ReadonlyArray<Saved<Objects.Backup>> = []
  return {
    change: Effect.gen(function* () {
      const { api } = yield* Stand
      kept = yield* api.list(Objects.backups, namespace)
      yield* api.removeAll(Objects.backups, namespace)
      yield* untilTrue(
        `the CNPG Backups of ${namespace} are gone`,
        "20 seconds",
        Effect.map(api.list(Objects.backups, namespace), (all) => all.length === 0)
      )
    }),
    undo: Effect.gen(function* () {
      const { api } = yield* Stand
      for (const { metadata, spec, status } of kept) {
        yield* api.apply(Objects.backups, {
          metadata: { name: metadata.name, namespace, annotations: { "cnpg.io/reconciliationLoop": "disabled" } },
          spec
        })
        yield* api.patch(Objects.backups, namespace, metadata.name, { status }, "status")
      }
    })
  }
}

const rightsBut = (resource: string) =>
  Effect.gen(function* () {
    const { api, kubectl } = yield* Stand
    const { directory } = yield* Processes
    const file = Path.join(directory, "doctor-rbac.yaml")
    const least = readManifests(Path.resolve(import.meta.dirname, "../../../deploy/rbac.yaml"))
      .filter(({ kind }) => kind === "ClusterRole" || kind === "ClusterRoleBinding")
      .map((object) => ({
        ...object,
        metadata: { ...object.metadata, name: installation },
        ...(object.kind === "ClusterRole"
          ? {
              rules: (object["rules"] as ReadonlyArray<{ readonly resources: ReadonlyArray<string> }>).filter(
                ({ resources }) => !resources.includes(resource)
              )
            }
          : {
              roleRef: { ...(object["roleRef"] as object), name: installation },
              subjects: [{ kind: "ServiceAccount", name: "velero", namespace: installation }]
            })
      }))
    Fs.writeFileSync(file, least.map((object) => Yaml.stringify(object)).join("---\n"))
    yield* api.remove(Objects.clusterRoleBindings, "", `velero-${installation}`)
    yield* kubectl("apply", `--filename=${file}`)
  })

const withContainers = (containers: ReadonlyArray<{ readonly name: string; readonly image: string }>) =>
  Effect.flatMap(Stand, ({ api }) =>
    api.patch(Objects.deployments, installation, "velero", {
      spec: {
        template: {
          spec: {
            initContainers: containers.map((container) => ({
              ...container,
              volumeMounts: [{ name: "plugins", mountPath: "/target" }]
            }))
          }
        }
      }
    })
  )

const aws = { name: "aws", image: "velero/velero-plugin-for-aws:v1.14.0" }
const ours = { name: "velero-plugin-cnpg", image: plugin }

const troubles = (installed: string): ReadonlyArray<Trouble> => [
  {
    what: "no completed backup",
    ...backups(),
    code: 1,
    findings: [/^error: it has no completed backup\. Make one/]
  },
  (() => {
    const { change, undo } = backups()
    return {
      what: "no completed backup, and one that is made for each Velero backup",
      change: Effect.andThen(change, annotate({ "velero-cnpg/on-demand-backup": "true" })),
      undo: Effect.andThen(annotate({ "velero-cnpg/on-demand-backup": null }), undo),
      code: 0,
      findings: [/^warning: it has no completed CNPG Backup yet: the next Velero backup makes the first/]
    }
  })(),
  {
    what: "archiving that fails",
    change: reportArchiving("False"),
    undo: reportArchiving("True"),
    code: 1,
    findings: [/^error: WAL archiving fails: exit status 4\. /]
  },
  {
    what: "no ObjectStore",
    ...without(Objects.objectStores as never, namespace, storeName),
    code: 1,
    findings: [/^error: ObjectStore orders-store \(.*\) does not exist\. Create it$/]
  },
  {
    what: "no Secret of the ObjectStore",
    ...without(Objects.secrets as never, namespace, storeName),
    code: 1,
    findings: [/^error: Secret orders-store \(.*\) does not exist\. Create it$/]
  },
  {
    what: "a Secret that no backup has",
    change: label(Objects.secrets as never, storeName, "true"),
    undo: label(Objects.secrets as never, storeName, null),
    code: 1,
    findings: [/^error: Secret orders-store \(.*\) is in no backup: it has the label velero\.io\/exclude-from-backup/]
  },
  {
    what: "the same, where the data comes from volumes",
    change: Effect.andThen(label(Objects.secrets as never, storeName, "true"), wantVolumes),
    undo: Effect.andThen(label(Objects.secrets as never, storeName, null), wantArchive),
    code: 0,
    findings: [/^warning: Secret orders-store \(.*\) is in no backup/]
  },
  {
    what: "a volume claim that no backup has",
    change: Effect.andThen(label(Objects.persistentVolumeClaims as never, `${Shop.cluster}-1`, "true"), wantVolumes),
    undo: Effect.andThen(label(Objects.persistentVolumeClaims as never, `${Shop.cluster}-1`, null), wantArchive),
    code: 1,
    findings: [/^error: PersistentVolumeClaim orders-1 \(its data\) is in no backup/]
  },
  {
    what: "an annotation that means nothing",
    change: annotate({ "velero-cnpg/recovery-target": "monday" }),
    undo: annotate({ "velero-cnpg/recovery-target": null }),
    code: 1,
    findings: [/^error: annotation velero-cnpg\/recovery-target on Cluster doctor\/orders is "monday"; it can be /]
  },
  {
    what: "rights that are missing, and not vital",
    change: rightsBut("pods"),
    undo: nothing,
    code: 0,
    findings: [
      /^warning: service account doctor-velero\/velero may not list services; list pods; list configmaps in its own namespace\. /
    ]
  },
  {
    what: "rights that are missing, and vital",
    change: rightsBut("backups"),
    undo: nothing,
    code: 1,
    findings: [/^error: service account doctor-velero\/velero may not list backups\.postgresql\.cnpg\.io; /]
  },
  {
    what: "all rights again",
    change: Effect.flatMap(Stand, ({ kubectl }) => kubectl("apply", `--filename=${installed}`)),
    undo: nothing,
    code: 0,
    findings: []
  },
  {
    what: "who may not look at Deployments",
    change: nothing,
    undo: nothing,
    question: { user: "restricted" },
    code: 1,
    findings: [/^error: what is installed is unknown: may not list deployments\.apps .* Run this as somebody who may$/]
  },
  {
    what: "no Velero",
    change: nothing,
    undo: nothing,
    question: { velero: "nowhere" },
    code: 1,
    findings: [/^error: there is no Velero server in namespace nowhere\. /]
  },
  {
    what: "a Velero without the plugin",
    change: withContainers([aws]),
    undo: nothing,
    code: 1,
    findings: [/^error: no init container of Deployment doctor-velero\/velero puts velero-plugin-cnpg into \/plugins: /]
  },
  {
    what: "a Velero with two of them",
    change: withContainers([aws, { name: "go", image: "replicated/velero-plugin-cnpg:v0.0.1" }, ours]),
    undo: withContainers([aws, ours]),
    code: 1,
    findings: [/^error: init containers go \(replicated\/velero-plugin-cnpg:v0\.0\.1\), .* Remove all but one$/]
  },
  {
    what: "no operator",
    ...without(Objects.deployments as never, operatorNamespace, "doctor-cnpg"),
    code: 0,
    findings: [/^warning: no Deployment has an image that is called cloudnative-pg: is its operator running\?$/]
  }
]

const verify = Effect.fnUntraced(function* ({ change, code, findings, question, undo, what }: Trouble) {
  yield* change
  const answer = yield* Effect.ensuring(ask(question), Effect.orDie(undo))
  const all = answer.findings.join("\n")
  yield* Verify.equal(`the exit code with ${what}`, answer.code, code)
  yield* Verify.equal(`whether all is recoverable with ${what}`, answer.report.recoverable, code === 0)
  yield* Verify.that(
    `${what} is told, and nothing else`,
    answer.findings.length === findings.length &&
      findings.every((finding) => answer.findings.some((each) => finding.test(each))),
    all
  )
})

export const doctor: Scenario = {
  name: "doctor",
  expected:
    "the doctor says of each trouble what it is, exits with 1 where it keeps a Cluster from its data, and writes nothing",
  core: true,
  run: Effect.gen(function* () {
    const { api } = yield* Stand
    yield* Shop.create(namespace)
    yield* reportArchiving("True")
    const installed = yield* install
    for (const operator of operators) yield* api.apply(Objects.deployments, operator)
    const well = yield* ask()
    yield* Verify.equal("what is wrong where all is well", well.findings, [])
    yield* Verify.equal("the exit code where all is well", well.code, 0)
    const [cluster] = well.report.clusters
    yield* Verify.equal(
      "what is said of the Cluster",
      [cluster?.archive.objectStore, cluster?.archive.serverName, cluster?.backup?.id, cluster?.archiving],
      [storeName, Shop.source.serverName, Shop.source.backupId ?? "", true]
    )
    const { barmanCloud, cnpg, velero } = well.report.installation
    yield* Verify.equal(
      "what is said to be installed",
      [cnpg[0]?.version, barmanCloud[0]?.version, velero?.initContainers.map(({ image }) => image)],
      [newest.operator, `v${Components.barmanCloud.version}`, [aws.image, plugin]]
    )
    const all = troubles(installed)
    for (const trouble of all) yield* verify(trouble)
    yield* Verify.equal("what is wrong in the end", (yield* ask()).findings, [])
    for (const { metadata } of operators) yield* api.remove(Objects.deployments, operatorNamespace, metadata.name)
    yield* api.remove(Objects.clusterRoleBindings, "", `velero-${installation}`)
    yield* api.remove(Objects.clusterRoleBindings, "", installation)
    yield* api.remove(Objects.clusterRoles, "", installation)
    yield* Namespace.remove(installation)
    return `all is well, and ${all.length} changes are told as they are`
  })
}
