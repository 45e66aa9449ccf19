/**
 * Volume snapshotters: take and restore snapshots of the volumes behind PersistentVolumes.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/velero/volumesnapshotter/v1/volume_snapshotter.go
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Failure } from "./Action.ts"
import * as InitConfig from "./InitConfig.ts"
import type { Item } from "./Item.ts"

/** A volume's type and its provisioned I/O operations a second, if it has such. */
export interface VolumeInfo {
  readonly type: string
  readonly iops: number | undefined
}

/** One initialized snapshotter. */
export interface Operations<R> {
  /** Makes a volume of a snapshot; answers the volume's id. */
  readonly createVolumeFromSnapshot: (request: {
    readonly snapshotId: string
    readonly volumeType: string
    readonly volumeAZ: string
    readonly iops: number | undefined
  }) => Effect.Effect<string, Failure, R>
  readonly getVolumeInfo: (volumeId: string, volumeAZ: string) => Effect.Effect<VolumeInfo, Failure, R>
  /** Takes a snapshot; answers its id. */
  readonly createSnapshot: (
    volumeId: string,
    volumeAZ: string,
    tags: Readonly<Record<string, string>>
  ) => Effect.Effect<string, Failure, R>
  /** Removes a snapshot; one that is gone is no failure. */
  readonly deleteSnapshot: (snapshotId: string) => Effect.Effect<void, Failure, R>
  /** The id of a PersistentVolume's volume; empty where this snapshotter is not in charge of it. */
  readonly getVolumeID: (persistentVolume: Item) => Effect.Effect<string, Failure, R>
  /** The PersistentVolume with another volume behind it. */
  readonly setVolumeID: (persistentVolume: Item, volumeId: string) => Effect.Effect<Item, Failure, R>
}

/** What the wire needs of a snapshotter; made by `make`. */
export interface VolumeSnapshotter<R> {
  readonly init: (
    plugin: string,
    config: Readonly<Record<string, string>>
  ) => Effect.Effect<Operations<R>, Failure, R | Scope.Scope>
}

/** Keys that Velero adds to a location's config. */
export const hostKeys = ["credentialsFile"] as const

/** A snapshotter from the schema of its configuration and the effect that makes it. */
export const make = <Config, R>(snapshotter: {
  readonly config: Schema.ConstraintDecoder<Config> & { readonly fields: Schema.Struct.Fields }
  readonly init: (config: Config) => Effect.Effect<Operations<R>, Failure, R | Scope.Scope>
}): VolumeSnapshotter<R> => {
  const decode = InitConfig.decoder(snapshotter.config, hostKeys)
  return { init: (plugin, config) => Effect.flatMap(decode(plugin, config), snapshotter.init) }
}
