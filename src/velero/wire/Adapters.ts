/** The services of a list of plugins: of each kind that it has, and loaded only when a call names one. */
import type { Service } from "../../go-plugin/Rpc.ts"
import type { Kind, Plugin } from "../Plugin.ts"
import type { PluginConfig } from "../PluginConfig.ts"

interface Module {
  readonly services: <R>(plugins: ReadonlyArray<Plugin<R>>) => ReadonlyArray<Service<R | PluginConfig>>
}

interface Adapter {
  /** Full names of its services. Versions of a kind share an adapter. */
  readonly names: ReadonlyArray<string>
  readonly load: () => Promise<Module>
}

const backupItemActions: Adapter = {
  names: ["generated.BackupItemAction", "v2.BackupItemAction"],
  load: () => import("./BackupItemActions.ts")
}

const restoreItemActions: Adapter = {
  names: ["generated.RestoreItemAction", "v2.RestoreItemAction"],
  load: () => import("./RestoreItemActions.ts")
}

const adapters: Record<Kind, Adapter> = {
  BackupItemAction: backupItemActions,
  BackupItemActionV2: backupItemActions,
  RestoreItemAction: restoreItemActions,
  RestoreItemActionV2: restoreItemActions,
  DeleteItemAction: { names: ["generated.DeleteItemAction"], load: () => import("./DeleteItemActions.ts") },
  ItemBlockAction: { names: ["v1.ItemBlockAction"], load: () => import("./ItemBlockActions.ts") },
  ObjectStore: { names: ["generated.ObjectStore"], load: () => import("./ObjectStores.ts") },
  VolumeSnapshotter: { names: ["generated.VolumeSnapshotter"], load: () => import("./VolumeSnapshotters.ts") }
}

/** A service that can be told by its name before it is loaded. */
export interface LazyService<R> {
  readonly name: string
  readonly load: () => Promise<Service<R>>
}

export const services = <R>(plugins: ReadonlyArray<Plugin<R>>): ReadonlyArray<LazyService<R | PluginConfig>> =>
  [...new Set(plugins.map(({ kind }) => adapters[kind]))].flatMap(({ load, names }) => {
    let loaded: Promise<ReadonlyArray<Service<R | PluginConfig>>> | undefined
    return names.map((name) => ({
      name,
      load: async () => {
        // Once for both of its versions, which look up the same plugins.
        loaded ??= load().then((module) => module.services(plugins))
        const service = (await loaded).find(({ definition }) => definition.fullName === name)
        if (service === undefined) throw new Error(`its adapter has no service ${name}`)
        return service
      }
    }))
  })
