/**
 * The servers of the stand, as data: which Go module each is built from, which of its packages, and which of its files the stand
 * needs besides. And what a scenario takes as others have packed it. `Build.ts` turns one into executables.
 *
 * Every module is built with its own `go.mod` and `go.sum`, replacements included, so the executables are what upstream ships but
 * for the entries noted here.
 */

export type Component = GoModule | DebianPackage | PythonPackages

interface Named {
  readonly name: string
  /** As people and images say it. */
  readonly version: string
}

export interface GoModule extends Named {
  readonly module: string
  /** Name of each executable, and the package in the module that it is built from. */
  readonly commands: Readonly<Record<string, string>>
  /** Variables that upstream's own build sets in the executable. */
  readonly variables?: Readonly<Record<string, string>>
  /** The version that replacements by a neighbouring folder stand for: `k8s.io/api => ./staging/src/k8s.io/api`. Without: dropped. */
  readonly staging?: string
  /** More replacements, each with its reason at the component. */
  readonly replacements?: Readonly<Record<string, string>>
  /** Files and folders of the module that are kept beside the executables, under the same path: CRDs, webhooks. */
  readonly files?: ReadonlyArray<string>
}

/** What Debian's package stands for in the release that runs here, with its newest fixes; the file `versions` names them. */
export interface DebianPackage extends Named {
  readonly metapackage: string
}

/** Wheels of PyPI, all of them and nothing else. */
export interface PythonPackages extends Named {
  readonly packages: Readonly<Record<string, string>>
  /** The command that shows whether they work. */
  readonly check: string
}

export const veleroVersions = ["1.18.3", "1.17.2", "1.16.2", "1.14.1"] as const
export type VeleroVersion = (typeof veleroVersions)[number]

export const operatorVersions = ["1.30.0", "1.27.0", "1.25.1"] as const
export type OperatorVersion = (typeof operatorVersions)[number]

/** Go's module proxy lacks some patch releases of `k8s.io/cli-runtime` that Velero's `go.mod` names; these are there. */
const cliRuntime: Partial<Record<VeleroVersion, string>> = { "1.18.3": "v0.33.10" }

/** Server and command line in one. */
export const velero = (version: VeleroVersion): GoModule => ({
  name: "velero",
  version,
  module: "github.com/vmware-tanzu/velero",
  commands: { velero: "./cmd/velero" },
  variables: {
    "github.com/vmware-tanzu/velero/pkg/buildinfo.Version": `v${version}`,
    // No flag of Velero's keeps its controllers from port 8080, which anybody may have taken.
    "sigs.k8s.io/controller-runtime/pkg/metrics/server.DefaultBindAddress": "0"
  },
  files: ["config/crd/v1/bases", "config/crd/v2alpha1/bases"],
  ...(cliRuntime[version] === undefined ? {} : { replacements: { "k8s.io/cli-runtime": cliRuntime[version] } })
})

/** CloudNativePG's operator. */
export const operator = (version: OperatorVersion): GoModule => ({
  name: "cloudnative-pg",
  version,
  module: "github.com/cloudnative-pg/cloudnative-pg",
  commands: { manager: "./cmd/manager" },
  files: ["config/crd/bases", "config/webhook/manifests.yaml"]
})

export const kubernetes: GoModule = {
  name: "kubernetes",
  version: "1.34.4",
  module: "k8s.io/kubernetes",
  commands: {
    "kube-apiserver": "./cmd/kube-apiserver",
    "kube-controller-manager": "./cmd/kube-controller-manager",
    kubectl: "./cmd/kubectl"
  },
  // Without a version the API server takes itself for v0.0.0, and enables nothing that came after it.
  variables: {
    "k8s.io/component-base/version.gitVersion": "v1.34.4",
    "k8s.io/component-base/version.gitMajor": "1",
    "k8s.io/component-base/version.gitMinor": "34"
  },
  staging: "v0.34.4"
}

export const etcd: GoModule = {
  name: "etcd",
  version: "3.6.16",
  module: "go.etcd.io/etcd/server/v3",
  commands: { etcd: "." }
}

/** Barman Cloud for CloudNativePG: the newest release that builds (0.15.0 names a dependency's version that is nowhere). */
export const barmanCloud: GoModule = {
  name: "plugin-barman-cloud",
  version: "0.14.0",
  module: "github.com/cloudnative-pg/plugin-barman-cloud",
  commands: { manager: "./cmd/manager" },
  files: ["config/crd/bases"]
}

/** An S3 server that keeps objects as files. */
export const versitygw: GoModule = {
  name: "versitygw",
  version: "1.8.0",
  module: "github.com/versity/versitygw",
  commands: { versitygw: "./cmd/versitygw" }
}

/** Velero's object store plugin for S3. */
export const pluginForAws: GoModule = {
  name: "velero-plugin-for-aws",
  version: "1.14.3",
  module: "github.com/vmware-tanzu/velero-plugin-for-aws",
  commands: { "velero-plugin-for-aws": "./velero-plugin-for-aws" }
}

/** The CRDs of volume snapshots. No driver takes any, but without them the operator does not let one ask. */
export const snapshotCrds: GoModule = {
  name: "external-snapshotter",
  version: "8.6.0",
  module: "github.com/kubernetes-csi/external-snapshotter/client/v8",
  commands: {},
  files: ["volumesnapshots", "volumesnapshotcontents", "volumesnapshotclasses"].map(
    (plural) => `config/crd/snapshot.storage.k8s.io_${plural}.yaml`
  )
}

/** What every stand has; Velero and the operator come in versions. */
export const always = { etcd, kubernetes, snapshotCrds, barmanCloud, versitygw, pluginForAws }

/** Helm, which renders Velero's chart. */
export const helm: GoModule = {
  name: "helm",
  version: "3.21.4",
  module: "helm.sh/helm/v3",
  commands: { helm: "./cmd/helm" }
}

/** The database itself, for the scenario that looks at rows. */
export const postgresql: DebianPackage = {
  name: "postgresql",
  version: "from apt",
  metapackage: "postgresql"
}

/** The commands that archive a database and fetch it back: `barman[cloud]`, and what it needs. */
export const barman: PythonPackages = {
  name: "barman",
  version: "3.19.1",
  packages: {
    barman: "3.19.1",
    boto3: "1.44.5",
    botocore: "1.44.5",
    jmespath: "1.1.0",
    // Barman asks for psycopg2, which PyPI has only as source.
    "psycopg2-binary": "2.9.13",
    "python-dateutil": "4.0.0",
    s3transfer: "0.19.3",
    six: "1.17.0",
    urllib3: "2.8.0"
  },
  check: "barman-cloud-backup"
}

/** `velero 1.18.3`, for people. */
export const describe = ({ name, version }: Component): string => `${name} ${version}`
