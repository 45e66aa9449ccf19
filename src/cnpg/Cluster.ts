/**
 * What actions read of a CNPG Cluster and of a CNPG Backup.
 *
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/api/v1/cluster_types.go
 * @see https://github.com/cloudnative-pg/cloudnative-pg/blob/v1.30.0/api/v1/backup_types.go
 */
import * as Schema from "effect/Schema"
import * as View from "../velero/View.ts"

/** `PluginConfiguration`. An absent `enabled` means true, an absent `isWALArchiver` false. */
const PluginEntry = Schema.Struct({
  name: Schema.String,
  enabled: View.optional(Schema.Boolean),
  isWALArchiver: View.optional(Schema.Boolean),
  parameters: View.optional(View.StringMap)
})
export type PluginEntry = typeof PluginEntry.Type

/** Of the credentials only their presence counts. */
const BarmanObjectStore = Schema.Struct({
  serverName: View.optional(Schema.String),
  azureCredentials: View.optional(Schema.Unknown),
  googleCredentials: View.optional(Schema.Unknown),
  s3Credentials: View.optional(Schema.Unknown)
})

const ExternalCluster = Schema.Struct({
  name: Schema.String,
  plugin: View.optional(PluginEntry),
  barmanObjectStore: View.optional(BarmanObjectStore),
  connectionParameters: View.optional(View.StringMap)
})

/** The part of every bootstrap method that says which database the application has. */
const ApplicationDatabase = Schema.Struct({
  database: View.optional(Schema.String),
  owner: View.optional(Schema.String),
  secret: View.optional(Schema.Struct({ name: View.optional(Schema.String) }))
})
export type ApplicationDatabase = typeof ApplicationDatabase.Type

const Bootstrap = Schema.Struct({
  initdb: View.optional(ApplicationDatabase),
  recovery: View.optional(ApplicationDatabase),
  pg_basebackup: View.optional(ApplicationDatabase)
})
export type Bootstrap = typeof Bootstrap.Type

const Replica = Schema.Struct({
  self: View.optional(Schema.String),
  primary: View.optional(Schema.String),
  source: View.optional(Schema.String),
  enabled: View.optional(Schema.Boolean),
  promotionToken: View.optional(Schema.String)
})

export const Cluster = Schema.Struct({
  metadata: View.Metadata,
  spec: View.optional(
    Schema.Struct({
      plugins: View.optional(Schema.Array(PluginEntry)),
      backup: View.optional(Schema.Struct({ barmanObjectStore: View.optional(BarmanObjectStore) })),
      externalClusters: View.optional(Schema.Array(ExternalCluster)),
      bootstrap: View.optional(Bootstrap),
      replica: View.optional(Replica)
    })
  ),
  // Of whatever shape: no Cluster is refused for what the operator notes there.
  status: View.optional(Schema.Unknown)
})
export interface Cluster extends Schema.Schema.Type<typeof Cluster> {}

export const decodeCluster = Schema.decodeUnknownOption(Cluster)

export const Backup = Schema.Struct({
  metadata: View.Metadata,
  spec: Schema.Struct({
    cluster: Schema.Struct({ name: Schema.String }),
    method: View.optional(Schema.String),
    pluginConfiguration: View.optional(Schema.Struct({ name: Schema.String }))
  }),
  status: View.optional(
    Schema.Struct({
      phase: View.optional(Schema.String),
      backupId: View.optional(Schema.String),
      serverName: View.optional(Schema.String),
      stoppedAt: View.optional(Schema.String),
      pluginMetadata: View.optional(View.StringMap)
    })
  )
})
export interface Backup extends Schema.Schema.Type<typeof Backup> {}

export const decodeBackup = Schema.decodeUnknownOption(Backup)

/** `Cluster shop/orders`, for messages. */
export const describe = ({ metadata }: Cluster): string => `Cluster ${metadata.namespace ?? ""}/${metadata.name}`

/** The operator's `IsReplica`. */
export const isReplica = ({ metadata, spec }: Cluster): boolean => {
  const replica = spec?.replica
  return !!replica && (replica.enabled ?? (replica.self || metadata.name) !== (replica.primary ?? ""))
}
