/**
 * What CNPG objects refer to by name, as data: where in which kind a name stands, of what kind its object is, what it is for.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/api/v1/cluster_types.go
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/api/v1/pooler_types.go
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/api/v1/databaserole_types.go
 * @see https://github.com/cloudnative-pg/plugin-barman-cloud/blob/v0.14.0/api/v1/objectstore_types.go
 */
import type { Resource } from "../kubernetes/Kubernetes.ts"
import * as Schema from "effect/Schema"
import * as View from "../velero/View.ts"
import { resources } from "./Names.ts"

/** A view of any kind that refers to others. */
export const Referring = Schema.Struct({
  kind: Schema.String,
  metadata: View.Metadata,
  spec: View.optional(Schema.Unknown)
})
export interface Referring extends Schema.Schema.Type<typeof Referring> {}

/** Velero's names of those kinds. */
export const referringResources = [
  "clusters.postgresql.cnpg.io",
  "objectstores.barmancloud.cnpg.io",
  "poolers.postgresql.cnpg.io",
  "databaseroles.postgresql.cnpg.io"
]

/** An object that another one of the same namespace (or a cluster-wide kind) is of no use without. */
export interface Reference {
  readonly resource: Resource
  readonly name: string
  readonly purpose: Purpose
}

export interface Purpose {
  /** As in `the credentials of its archive`. */
  readonly text: string
  /** Nothing can be recovered without it. */
  readonly vital: boolean
}

/** Where names stand: `*` is every entry of a list and every value of an object. */
type Place = readonly [path: string, resource: Resource, purpose: Purpose]

const vital = (text: string): Purpose => ({ text, vital: true })
const useful = (text: string): Purpose => ({ text, vital: false })

const { configMaps, objectStores, secrets } = resources

const credentials = (path: string, purpose: Purpose): ReadonlyArray<Place> => [
  [`${path}.s3Credentials.*.name`, secrets, purpose],
  [`${path}.azureCredentials.*.name`, secrets, purpose],
  [`${path}.googleCredentials.*.name`, secrets, purpose],
  [`${path}.endpointCA.name`, secrets, { ...purpose, text: "the CA of its object store's endpoint" }]
]

const initdbScripts = ["postInitSQLRefs", "postInitApplicationSQLRefs", "postInitTemplateSQLRefs"].flatMap(
  (field): ReadonlyArray<Place> => [
    [`spec.bootstrap.initdb.${field}.secretRefs.*.name`, secrets, useful("SQL of its bootstrap")],
    [`spec.bootstrap.initdb.${field}.configMapRefs.*.name`, configMaps, useful("SQL of its bootstrap")]
  ]
)

const places: Readonly<Record<string, ReadonlyArray<Place>>> = {
  Cluster: [
    ["spec.plugins.*.parameters.barmanObjectName", objectStores, vital("its archive")],
    [
      "spec.externalClusters.*.plugin.parameters.barmanObjectName",
      objectStores,
      useful("the archive of an external cluster")
    ],
    ...credentials("spec.backup.barmanObjectStore", vital("the credentials of its archive")),
    ...credentials(
      "spec.externalClusters.*.barmanObjectStore",
      useful("the credentials of an external cluster's archive")
    ),
    ...["sslCert", "sslKey", "sslRootCert", "password"].map((field): Place => [
      `spec.externalClusters.*.${field}.name`,
      secrets,
      useful("the connection to an external cluster")
    ]),
    ["spec.superuserSecret.name", secrets, useful("the superuser's password")],
    ["spec.bootstrap.*.secret.name", secrets, useful("the database owner's password")],
    ["spec.managed.roles.*.passwordSecret.name", secrets, useful("the password of a managed role")],
    ["spec.certificates.serverCASecret", secrets, useful("its certificates")],
    ["spec.certificates.serverTLSSecret", secrets, useful("its certificates")],
    ["spec.certificates.clientCASecret", secrets, useful("its certificates")],
    ["spec.certificates.replicationTLSSecret", secrets, useful("its certificates")],
    ["spec.imagePullSecrets.*.name", secrets, useful("its image")],
    ["spec.postgresql.ldap.bindSearchAuth.bindPassword.name", secrets, useful("its LDAP server")],
    ["spec.monitoring.customQueriesConfigMap.*.name", configMaps, useful("its monitoring")],
    ["spec.monitoring.customQueriesSecret.*.name", secrets, useful("its monitoring")],
    ["spec.projectedVolumeTemplate.sources.*.secret.name", secrets, useful("its Pods' files")],
    ["spec.projectedVolumeTemplate.sources.*.configMap.name", configMaps, useful("its Pods' files")],
    ["spec.env.*.valueFrom.secretKeyRef.name", secrets, useful("its Pods' environment")],
    ["spec.env.*.valueFrom.configMapKeyRef.name", configMaps, useful("its Pods' environment")],
    ["spec.envFrom.*.secretRef.name", secrets, useful("its Pods' environment")],
    ["spec.envFrom.*.configMapRef.name", configMaps, useful("its Pods' environment")],
    ...initdbScripts
  ],
  ObjectStore: [
    ...credentials("spec.configuration", vital("the credentials of the archive")),
    [
      "spec.instanceSidecarConfiguration.env.*.valueFrom.secretKeyRef.name",
      secrets,
      useful("the sidecar's environment")
    ],
    [
      "spec.instanceSidecarConfiguration.env.*.valueFrom.configMapKeyRef.name",
      configMaps,
      useful("the sidecar's environment")
    ]
  ],
  Pooler: ["authQuerySecret", "serverTLSSecret", "serverCASecret", "clientCASecret", "clientTLSSecret"].map(
    (field): Place => [`spec.pgbouncer.${field}.name`, secrets, useful("its connections")]
  ),
  DatabaseRole: [["spec.passwordSecret.name", secrets, useful("the role's password")]]
}

const valuesAt = (tree: unknown, path: ReadonlyArray<string>): ReadonlyArray<unknown> => {
  const [step, ...rest] = path
  if (step === undefined) return [tree]
  if (typeof tree !== "object" || tree === null) return []
  const children = step === "*" ? Object.values(tree) : [(tree as Readonly<Record<string, unknown>>)[step]]
  return children.flatMap((child) => valuesAt(child, rest))
}

/** The image catalog, whose kind the reference says itself. */
const catalogOf = (tree: Referring): ReadonlyArray<Reference> =>
  valuesAt(tree, ["spec", "imageCatalogRef"]).flatMap((value) => {
    const { kind, name } = (value ?? {}) as { readonly kind?: unknown; readonly name?: unknown }
    const resource = [resources.imageCatalogs, resources.clusterImageCatalogs].find((known) => known.kind === kind)
    return resource !== undefined && typeof name === "string" && name !== ""
      ? [{ resource, name, purpose: useful("its image") }]
      : []
  })

/** What an object refers to, each object once. */
export const of = (tree: Referring): ReadonlyArray<Reference> => {
  const { kind } = tree
  const found = [
    ...(places[kind] ?? []).flatMap(([path, resource, purpose]) =>
      valuesAt(tree, path.split(".")).flatMap((name) =>
        typeof name === "string" && name !== "" ? [{ resource, name, purpose }] : []
      )
    ),
    ...(kind === "Cluster" ? catalogOf(tree) : [])
  ]
  return found.filter(
    ({ name, resource }, index) =>
      found.findIndex((other) => other.name === name && other.resource === resource) === index
  )
}

/** The Secrets that the operator makes for a Cluster under names of its own. */
export const generatedBy = (cluster: string): ReadonlyArray<Reference> =>
  ["app", "ca", "replication", "server", "superuser"].map((suffix) => ({
    resource: secrets,
    name: `${cluster}-${suffix}`,
    purpose: useful("its certificates and passwords")
  }))
