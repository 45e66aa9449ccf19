/**
 * The files of `deploy/`, and the filesystem pack's patches, as the API server takes them: nothing is stored, but everything that
 * decides on an object is asked, the Pod Security admission of a restricted namespace too. The volume policy is used by a backup.
 *
 * The Helm chart itself is not here: what it makes of the values is made below. The chart is that of the scenario `helm-chart`.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Yaml from "yaml"
import packageJson from "../../../package.json" with { type: "json" }
import * as Namespace from "../Namespace.ts"
import type { Anything, Saved } from "../Objects.ts"
import * as Objects from "../Objects.ts"
import { untilTrue } from "../Poll.ts"
import { Processes } from "../Processes.ts"
import type { Scenario } from "../Scenario.ts"
import { readManifests } from "../servers/Servers.ts"
import { Stand, veleroNamespace } from "../Stand.ts"
import * as Velero from "../Velero.ts"
import * as Verify from "../Verify.ts"

const repository = Path.resolve(import.meta.dirname, "../../..")
export const inRepository = (file: string): string => Path.join(repository, file)
export const restricted = "deploy-restricted"
export const image = `${packageJson.config.image}:v${packageJson.version}`

interface Container {
  readonly name: string
  readonly image: string
  readonly securityContext?: object
}

export interface PodSpec {
  readonly initContainers: ReadonlyArray<Container>
  readonly containers: ReadonlyArray<Container>
  readonly volumes: ReadonlyArray<object>
  readonly securityContext?: object
}

interface HelmValues {
  readonly initContainers: ReadonlyArray<Container>
  readonly podSecurityContext: object
  readonly containerSecurityContext: object
  readonly configMaps: Readonly<Record<string, { readonly labels: Objects.Strings; readonly data: Objects.Strings }>>
  readonly extraObjects: ReadonlyArray<Saved<Anything>>
}

const helmValues = (file: string): HelmValues =>
  Yaml.parse(Fs.readFileSync(inRepository(`deploy/helm/${file}`), "utf8")) as HelmValues

/** The pod of the chart's Deployment, as far as these values have a say in it. */
const helmPod = ({ containerSecurityContext, initContainers, podSecurityContext }: HelmValues): PodSpec => ({
  initContainers,
  containers: [{ name: "velero", image: "velero/velero:v1.18.1", securityContext: containerSecurityContext }],
  volumes: [{ name: "plugins", emptyDir: {} }],
  securityContext: podSecurityContext
})

/** What Velero's own container has to say in a restricted namespace. */
const ownContext = {
  runAsNonRoot: true,
  runAsUser: 1002,
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" }
}

/** Asks the API server for an answer, and stores nothing. */
export const apply = Effect.fnUntraced(function* (...files: ReadonlyArray<string>) {
  const { kubectl } = yield* Stand
  const said = yield* Verify.attempt(
    kubectl("apply", "--dry-run=server", "--output=name", ...files.map((file) => `--filename=${file}`))
  )
  return said?.trim().split("\n") ?? []
})

/** Whether a restricted namespace takes a pod; the reason where it does not. */
const admitted = Effect.fnUntraced(function* (spec: PodSpec) {
  const { api } = yield* Stand
  return yield* api
    .request("POST", `/api/v1/namespaces/${restricted}/pods?dryRun=All`, {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "velero" },
      spec
    })
    .pipe(
      Effect.as("admitted"),
      Effect.catch(({ detail }) => Effect.succeed(detail))
    )
})

export const verifyPod = Effect.fnUntraced(function* (what: string, spec: PodSpec) {
  const [plugin] = spec.initContainers.filter(({ name }) => name === "velero-plugin-cnpg")
  yield* Verify.equal(`the image of ${what}`, plugin?.image, image)
  yield* Verify.equal(`${what} in a restricted namespace`, yield* admitted(spec), "admitted")
  // Were it admitted without, the profile would not be in force.
  const plain = spec.initContainers.map((container) => ({ ...container, securityContext: {} }))
  const refused = yield* admitted({ ...spec, initContainers: plain })
  yield* Verify.that(`${what} without its security context is refused`, /restricted|PodSecurity/.test(refused), refused)
})

export const createRestricted = Effect.flatMap(Stand, ({ api }) =>
  api.apply(Objects.namespaces, {
    metadata: { name: restricted, labels: { "pod-security.kubernetes.io/enforce": "restricted" } }
  })
)

const kustomize = Effect.gen(function* () {
  const { kubectl, velero } = yield* Stand
  const { directory } = yield* Processes
  const overlay = Fs.mkdtempSync(Path.join(directory, "overlay-"))
  const flags = ["--no-secret", "--no-default-backup-location", "--use-volume-snapshots=false", "--dry-run", "-o=yaml"]
  Fs.writeFileSync(
    Path.join(overlay, "velero.yaml"),
    yield* velero("install", "--plugins=velero/velero-plugin-for-aws:v1.14.0", ...flags)
  )
  Fs.writeFileSync(
    Path.join(overlay, "kustomization.yaml"),
    Yaml.stringify({
      apiVersion: "kustomize.config.k8s.io/v1beta1",
      kind: "Kustomization",
      resources: ["velero.yaml"],
      components: [Path.relative(Fs.realpathSync(overlay), inRepository("deploy"))]
    })
  )
  const rendered = Path.join(overlay, "rendered.yaml")
  Fs.writeFileSync(rendered, yield* kubectl("kustomize", overlay))
  const seen = yield* apply(rendered)
  for (const name of [
    "deployment.apps/velero",
    "clusterrole.rbac.authorization.k8s.io/velero-plugin-cnpg",
    "configmap/backup-restore-plugin"
  ]) {
    yield* Verify.that(`the overlay has ${name}`, seen.includes(name), seen.join(" "))
  }
  const [deployment] = readManifests(rendered).filter(({ kind }) => kind === "Deployment")
  const template = deployment?.spec?.["template"] as { readonly spec: PodSpec }
  yield* Verify.equal(
    "the overlay's init containers",
    template.spec.initContainers.map(({ name }) => name).toSorted(),
    ["velero-plugin-cnpg", "velero-velero-plugin-for-aws"]
  )
  // The filesystem pack's patches, on this Deployment.
  const single = Path.join(overlay, "deployment.yaml")
  Fs.writeFileSync(single, Yaml.stringify(deployment))
  for (const name of ["deployment", "node-volumes"]) {
    const patched = Path.join(overlay, `${name}-patched.yaml`)
    const patch = inRepository(`examples/filesystem/${name}.yaml`)
    Fs.writeFileSync(
      patched,
      yield* kubectl("patch", "--local", `--filename=${single}`, `--patch-file=${patch}`, "--output=yaml")
    )
    yield* Verify.equal(`${name}.yaml, patched`, yield* apply(patched), ["deployment.apps/velero"])
  }
  // The other containers are Velero's.
  yield* verifyPod("the overlay's pod", {
    ...template.spec,
    initContainers: template.spec.initContainers.filter(({ name }) => name === "velero-plugin-cnpg"),
    containers: template.spec.containers.map((container) => ({ ...container, securityContext: ownContext }))
  })
  return seen.length
})

const helm = Effect.gen(function* () {
  const { directory } = yield* Processes
  const values = helmValues("values.yaml")
  yield* verifyPod("the chart's pod", helmPod(values))
  const configMaps = Object.entries(helmValues("values-config.yaml").configMaps).map(([name, { data, labels }]) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: `velero-${name}`, namespace: veleroNamespace, labels },
    data
  }))
  const { extraObjects } = helmValues("values-rbac.yaml")
  const file = Path.join(directory, "helm-objects.yaml")
  Fs.writeFileSync(file, [...configMaps, ...extraObjects].map((object) => Yaml.stringify(object)).join("---\n"))
  yield* Verify.equal("objects of the values", (yield* apply(file)).length, configMaps.length + extraObjects.length)
})

const namespace = "deploy-volumes"

/** A claim that is bound to a volume of a directory. */
const createVolume = Effect.fnUntraced(function* (name: string, path: string, labels: Objects.Strings) {
  const { api } = yield* Stand
  Fs.mkdirSync(path)
  Fs.writeFileSync(Path.join(path, "rows"), name)
  const size = { accessModes: ["ReadWriteOnce"], storageClassName: "" }
  yield* api.apply(Objects.persistentVolumes, {
    metadata: { name },
    spec: { ...size, capacity: { storage: "1Gi" }, persistentVolumeReclaimPolicy: "Retain", hostPath: { path } }
  })
  yield* api.apply(Objects.persistentVolumeClaims, {
    metadata: { name, namespace, labels },
    spec: { ...size, resources: { requests: { storage: "1Gi" } }, volumeName: name }
  })
  yield* untilTrue(
    `claim ${name} is bound`,
    "2 minutes",
    Effect.map(api.get(Objects.persistentVolumeClaims, namespace, name), ({ status }) => status?.phase === "Bound")
  )
})

/** The policy leaves out the volumes of CNPG, by their roles, and no other. */
const volumePolicy = Effect.gen(function* () {
  const { api, files, kubectl, velero } = yield* Stand
  const { directory } = yield* Processes
  const { root } = yield* files
  const home = Fs.mkdtempSync(Path.join(directory, "policy-"))
  const location = "policy"
  yield* kubectl("apply", `--filename=${inRepository("deploy/volume-policy.yaml")}`)
  yield* api.apply(Objects.volumeSnapshotLocations, {
    metadata: { name: location, namespace: veleroNamespace },
    spec: { provider: "velero-filesystem/volume-snapshotter", config: { root, node: "stand" } }
  })
  yield* api.apply(Objects.namespaces, { metadata: { name: namespace } })
  const roles = ["PG_DATA", "PG_WAL", "PG_TABLESPACE"]
  for (const role of roles) {
    const name = role.toLowerCase().replace("_", "-")
    yield* createVolume(name, Path.join(home, name), { "cnpg.io/cluster": "orders", "cnpg.io/pvcRole": role })
  }
  yield* createVolume("files", Path.join(home, "files"), { app: "shop" })
  const backup = yield* Velero.backUp(
    [namespace],
    `--volume-snapshot-locations=${location}`,
    "--resource-policies-configmap=cnpg-volumes"
  )
  yield* Verify.equal("the backup with the policy", Velero.outcome(backup), "Completed")
  const described = yield* velero("backup", "describe", backup.metadata.name, "--details")
  const copied = ["pg-data", "pg-wal", "pg-tablespace", "files"].filter((name) =>
    new RegExp(`^ +${name}:\\n +Snapshot ID:`, "m").test(described)
  )
  yield* Verify.that("the volume of the shop alone is copied", copied.join() === "files", described)
  yield* Velero.remove(backup)
  yield* Namespace.remove(namespace)
  yield* api.remove(Objects.volumeSnapshotLocations, veleroNamespace, location)
})

export const deploy: Scenario = {
  name: "deploy",
  expected:
    "the API server takes every file of deploy/, in a restricted namespace too; the volume policy leaves CNPG's out",
  packs: ["filesystem"],
  run: Effect.gen(function* () {
    yield* createRestricted
    const single = ["rbac", "plugin-config", "volume-policy", "network-policy"]
    const taken = yield* apply(...single.map((name) => inRepository(`deploy/${name}.yaml`)))
    const objects = single.flatMap((name) => readManifests(inRepository(`deploy/${name}.yaml`)))
    yield* Verify.equal("objects of the single files", taken.length, objects.length)
    for (const name of ["locations", "volume"]) yield* apply(inRepository(`examples/filesystem/${name}.yaml`))
    const overlaid = yield* kustomize
    yield* helm
    yield* volumePolicy
    yield* Namespace.remove(restricted)
    return `${taken.length} objects and an overlay of ${overlaid}; 3 of 4 volumes left out`
  })
}
