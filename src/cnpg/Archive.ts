/**
 * Where a Cluster archives its WAL and base backups: pure functions over its view.
 *
 * The operator's rule, followed here: an enabled plugin entry with `isWALArchiver` archives; without one the in-tree
 * `spec.backup.barmanObjectStore` does; a lone Barman Cloud entry is taken as the archiver too. The server name is the entry's,
 * else (the operator's default) the Cluster's name.
 *
 * @see https://github.com/cloudnative-pg/plugin-barman-cloud/blob/v0.14.0/internal/cnpgi/operator/config/config.go
 */
import type { Cluster, PluginEntry } from "./Cluster.ts"
import { barmanCloudPlugin } from "./Names.ts"

export type Archive =
  /** The Barman Cloud plugin; `entries` are the indices in `spec.plugins` of the entries that carry its server name. */
  | {
      readonly _tag: "Plugin"
      readonly plugin: string
      readonly entries: ReadonlyArray<number>
      readonly serverName: string
      readonly barmanObjectName: string | undefined
    }
  /** `spec.backup.barmanObjectStore`. */
  | { readonly _tag: "InTree"; readonly serverName: string }
  /** An archiver that this pack cannot recover from. */
  | { readonly _tag: "Foreign"; readonly plugin: string }
  /** Several Barman Cloud entries, none of which says that it archives. */
  | { readonly _tag: "Ambiguous" }
  | { readonly _tag: "None" }

/** An archive that a Cluster can be recovered from. */
export type Recoverable = Extract<Archive, { readonly serverName: string }>

export const isRecoverable = (archive: Archive): archive is Recoverable =>
  archive._tag === "Plugin" || archive._tag === "InTree"

const isEnabled = ({ enabled }: PluginEntry): boolean => enabled !== false

/** Finds a Cluster's archive. */
export const find = ({ metadata, spec }: Cluster): Archive => {
  const entries = spec?.plugins ?? []
  const enabled = entries.filter(isEnabled)
  const fromEntry = (entry: PluginEntry): Archive =>
    entry.name === barmanCloudPlugin
      ? {
          _tag: "Plugin",
          plugin: entry.name,
          entries: entries.flatMap(({ name }, index) => (name === entry.name ? [index] : [])),
          serverName: entry.parameters?.["serverName"] || metadata.name,
          barmanObjectName: entry.parameters?.["barmanObjectName"] || undefined
        }
      : { _tag: "Foreign", plugin: entry.name }

  const archiver = enabled.find(({ isWALArchiver }) => isWALArchiver === true)
  if (archiver !== undefined) return fromEntry(archiver)

  const inTree = spec?.backup?.barmanObjectStore
  if (inTree) return { _tag: "InTree", serverName: inTree.serverName || metadata.name }

  const barman = enabled.filter(({ name }) => name === barmanCloudPlugin)
  const [only] = barman
  if (only === undefined) return { _tag: "None" }
  return barman.length === 1 ? fromEntry(only) : { _tag: "Ambiguous" }
}

/** Every server name that a Cluster writes to or reads from, defaults included: none of them is free for another Cluster. */
export const serverNames = ({ metadata, spec }: Cluster): ReadonlyArray<string> => {
  const ofEntry = ({ parameters }: PluginEntry) => parameters?.["serverName"] || metadata.name
  const inTree = spec?.backup?.barmanObjectStore
  return [
    ...(inTree ? [inTree.serverName || metadata.name] : []),
    ...(spec?.plugins ?? []).map(ofEntry),
    ...(spec?.externalClusters ?? []).flatMap(({ barmanObjectStore, name, plugin }) => [
      ...(plugin ? [ofEntry(plugin)] : []),
      // The operator's default is another one here: the external cluster's own name.
      ...(barmanObjectStore ? [barmanObjectStore.serverName || name] : [])
    ])
  ]
}
