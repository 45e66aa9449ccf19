/** `doctor`: whether a Velero restore would recover the Clusters of a cluster. It reads, and changes nothing. */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { resources } from "../cnpg/Names.ts"
import * as Recoveries from "../cnpg/Recoveries.ts"
import { groupResource, type Kubernetes, type KubernetesError } from "../kubernetes/Kubernetes.ts"
import * as Cluster from "./Cluster.ts"
import type { Diagnosis } from "./doctor/Clusters.ts"
import * as Clusters from "./doctor/Clusters.ts"
import { error, type Finding } from "./doctor/Finding.ts"
import type { Installation, Installed } from "./doctor/Installation.ts"
import * as Installations from "./doctor/Installation.ts"
import type { Rights } from "./doctor/Rights.ts"
import * as VeleroRights from "./doctor/Rights.ts"
import { hasColours, output } from "./Output.ts"
import * as Render from "./Render.ts"

/** Everything that was found, as plain data. */
export interface Report {
  readonly installation: Installation
  /** `null` where Velero was not found. */
  readonly rights: Rights | null
  readonly clusters: ReadonlyArray<Diagnosis>
  /** Whether a restore would recover every Cluster. */
  readonly recoverable: boolean
}

/** A restore would not recover some Cluster, or nothing can tell. */
export class Unwell extends Data.TaggedError("Unwell") {
  override get message() {
    return "a restore would not recover every Cluster; see the lines marked with !"
  }
}

export interface Options {
  readonly veleroNamespace: string
  /** Of the Clusters; default: all. */
  readonly namespace?: string | undefined
}

const noKind = error(
  `the API server does not know ${groupResource(resources.clusters)}: install CloudNativePG before you restore`
)

/** Reads the cluster. Fails where the Clusters themselves cannot be read. */
export const examine = ({ namespace, veleroNamespace }: Options): Effect.Effect<Report, KubernetesError, Kubernetes> =>
  Effect.gen(function* () {
    // First, so that a cluster that does not answer is waited for once.
    const { clusters, findings: ofKind } = yield* Clusters.inspect(namespace).pipe(
      Effect.map((clusters): Pick<Report, "clusters"> & { readonly findings: ReadonlyArray<Finding> } => ({
        clusters,
        findings: []
      })),
      Effect.catchTag("NotFound", () => Effect.succeed({ clusters: [], findings: [noKind] }))
    )
    const installed = yield* Installations.inspect(veleroNamespace)
    const installation = { ...installed, findings: [...ofKind, ...installed.findings] }
    const { velero } = installation
    const rights = velero === null ? null : yield* VeleroRights.inspect(velero)
    const findings = [...installation.findings, ...(rights?.findings ?? [])]
    return {
      installation,
      rights,
      clusters,
      recoverable: findings.every(({ level }) => level !== "error") && clusters.every(({ recoverable }) => recoverable)
    }
  }).pipe(Effect.provide(Layer.provideMerge(Recoveries.layer, Cluster.readOnly)))

const place = ({ deployment, image, namespace, version }: Installed): string =>
  `${version ?? "version unknown"}, Deployment ${namespace}/${deployment}, image ${image}`

const label = (name: string): string => `  ${name.padEnd(14)}`

const archiveText = ({ firstRecoverabilityPoint, kind, objectStore, serverName }: Diagnosis["archive"]): string => {
  const since = firstRecoverabilityPoint === null ? "" : `, recoverable from ${firstRecoverabilityPoint} on`
  switch (kind) {
    case "object-store":
      return `ObjectStore ${objectStore ?? "?"}, server name ${serverName}${since}`
    case "in-tree":
      return `spec.backup.barmanObjectStore, server name ${serverName}${since}`
    case "foreign":
      return "with another plugin"
    case "ambiguous":
      return "not to be told"
    case "none":
      return "none"
  }
}

const backupText = (backup: Diagnosis["backup"]): string => {
  if (backup === null) return "none that is completed"
  const { ageSeconds, endedAt, id, name } = backup
  const when =
    endedAt === null ? "" : `, ended at ${endedAt}${ageSeconds === null ? "" : `, ${Clusters.age(ageSeconds)} ago`}`
  return `${id} (CNPG Backup ${name})${when}`
}

const archivingText = (archiving: boolean | null): string =>
  archiving === null ? "unknown" : archiving ? "works" : "fails"

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

/** The report for people. */
export const render = ({ clusters, installation, recoverable, rights }: Report, look: Render.Style): string => {
  const { barmanCloud, cnpg, findings, velero } = installation
  const told = (all: ReadonlyArray<Finding>) =>
    all.map(({ level, message }) =>
      level === "error" ? look.failure(`  ! ${message}`) : look.warning(`  ? ${message}`)
    )
  const all = (found: ReadonlyArray<Installed>) => (found.length === 0 ? ["not found"] : found.map(place))
  const lacking = clusters.filter((cluster) => !cluster.recoverable)
  return [
    look.strong("Installed"),
    `${label("Velero")}${velero === null ? "not found" : place(velero)}`,
    ...(velero === null
      ? []
      : [
          `${label("plugins")}${velero.pluginDirectory}, from ${
            velero.initContainers.map(({ image, name }) => `${name} (${image})`).join(", ") || "no init container"
          }`
        ]),
    ...all(cnpg).map((text) => `${label("CloudNativePG")}${text}`),
    ...all(barmanCloud).map((text) => `${label("Barman Cloud")}${text}`),
    ...(rights === null || rights.missing === null
      ? []
      : [
          `${label("rights")}${rights.serviceAccount} has ${rights.missing.length === 0 ? "all that the plugin needs" : `all but ${rights.missing.length}`}`
        ]),
    ...told([...findings, ...(rights?.findings ?? [])]),
    ...clusters.flatMap(({ archive, archiving, backup, findings, name, namespace, recoverable }) => [
      "",
      look.strong(`Cluster ${namespace}/${name}: ${recoverable ? "recoverable" : "NOT recoverable"}`),
      `${label("archive")}${archiveText(archive)}`,
      `${label("newest backup")}${backupText(backup)}`,
      `${label("WAL archiving")}${archivingText(archiving)}`,
      ...told(findings)
    ]),
    "",
    look.strong(
      [
        clusters.length === 0
          ? "There are no Clusters."
          : `${plural(clusters.length, "Cluster")}, ${lacking.length} not recoverable.`,
        recoverable
          ? "Nothing stands in the way of a restore."
          : "Lines with ! stand in the way of a restore, lines with ? may."
      ].join(" ")
    )
  ].join("\n")
}

export const doctor = (program: string) =>
  Command.make(
    "doctor",
    {
      kubeconfig: Cluster.kubeconfig,
      context: Cluster.context,
      veleroNamespace: Cluster.veleroNamespace,
      namespace: Flag.String("namespace").pipe(
        Flag.withAlias("n"),
        Flag.optional,
        Flag.withMetavar("NAMESPACE"),
        Flag.withDescription("Clusters of this namespace only (default: all)")
      ),
      output
    },
    Effect.fnUntraced(function* ({ context, kubeconfig, namespace, output, veleroNamespace }) {
      const report = yield* examine({ veleroNamespace, namespace: Option.getOrUndefined(namespace) }).pipe(
        Effect.provide(Cluster.layer({ context, kubeconfig }))
      )
      yield* Console.log(
        output === "json" ? JSON.stringify(report, undefined, 2) : render(report, Render.style(hasColours()))
      )
      if (!report.recoverable) return yield* new Unwell()
    })
  ).pipe(
    Command.withDescription(
      "Tell whether a Velero restore would recover the CloudNativePG Clusters of a Kubernetes cluster. Reads, and changes nothing."
    ),
    Command.withExamples([
      { command: `${program} doctor`, description: "Where kubectl points" },
      {
        command: `${program} doctor --context production -n shop --output json`,
        description: "As data, of one namespace"
      }
    ])
  )
