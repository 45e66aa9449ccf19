/** The services of a list of plugins: of each kind that it has, and loaded only then. */
import * as Effect from "effect/Effect"
import type { Service } from "../../go-plugin/Rpc.ts"
import type { Kind, Plugin } from "../Plugin.ts"
import type { PluginConfig } from "../PluginConfig.ts"

interface Adapter {
  readonly services: <R>(plugins: ReadonlyArray<Plugin<R>>) => ReadonlyArray<Service<R | PluginConfig>>
}

const backupItemActions = (): Promise<Adapter> => import("./BackupItemActions.ts")
const restoreItemActions = (): Promise<Adapter> => import("./RestoreItemActions.ts")

/** Versions of a kind share an adapter. */
const adapters: Record<Kind, () => Promise<Adapter>> = {
  BackupItemAction: backupItemActions,
  BackupItemActionV2: backupItemActions,
  RestoreItemAction: restoreItemActions,
  RestoreItemActionV2: restoreItemActions,
  DeleteItemAction: () => import("./DeleteItemActions.ts"),
  ItemBlockAction: () => import("./ItemBlockActions.ts"),
  ObjectStore: () => import("./ObjectStores.ts"),
  VolumeSnapshotter: () => import("./VolumeSnapshotters.ts")
}

export const services = <R>(
  plugins: ReadonlyArray<Plugin<R>>
): Effect.Effect<ReadonlyArray<Service<R | PluginConfig>>> =>
  Effect.promise(async () => {
    const loads = new Set(plugins.map(({ kind }) => adapters[kind]))
    const loaded = await Promise.all([...loads].map((load) => load()))
    return loaded.flatMap((adapter) => adapter.services(plugins))
  })
