/**
 * Volume snapshotters: take and restore snapshots of the volumes behind PersistentVolumes.
 *
 * @see https://github.com/vmware-tanzu/velero/blob/v1.18.1/pkg/plugin/velero/volumesnapshotter/v1/volume_snapshotter.go
 *
 * @module
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
  /** Type and I/O operations of a volume, which `createVolumeFromSnapshot` gets again. */
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
  /** Prepares a snapshotter for a configuration; it lives until the process ends or another one is initialized. */
  readonly init: (
    plugin: string,
    config: Readonly<Record<string, string>>
  ) => Effect.Effect<Operations<R>, Failure, R | Scope.Scope>
}

/** Keys that Velero adds to a location's config. */
export const hostKeys = ["credentialsFile"] as const

/**
 * A snapshotter from the schema of its configuration and the effect that makes it.
 *
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import * as Schema from "effect/Schema"
 * import * as Item from "velero-plugin-cnpg/velero/Item"
 * import * as Json from "velero-plugin-cnpg/velero/Json"
 * import * as VolumeSnapshotter from "velero-plugin-cnpg/velero/VolumeSnapshotter"
 *
 * const snapshotter = VolumeSnapshotter.make({
 *   config: Schema.Struct({}),
 *   init: () =>
 *     Effect.succeed({
 *       createSnapshot: (volumeId) => Effect.succeed(`snapshot-of-${volumeId}`),
 *       createVolumeFromSnapshot: ({ snapshotId }) => Effect.succeed(snapshotId.replace("snapshot-of-", "copy-of-")),
 *       getVolumeInfo: () => Effect.succeed({ type: "disk", iops: undefined }),
 *       deleteSnapshot: () => Effect.void,
 *       // No id: another snapshotter is in charge of the volume.
 *       getVolumeID: (volume) => Effect.succeed(Json.slice(volume.text, ["spec", "disk"]) === undefined ? "" : "disk-1"),
 *       setVolumeID: (volume, id) => Effect.succeed(Item.patch(volume, [Json.set(["spec", "disk"], id)]))
 *     } satisfies VolumeSnapshotter.Operations<never>)
 * })
 *
 * const volume = Item.fromObject({ kind: "PersistentVolume", spec: { disk: "disk-1" } })
 * const use = Effect.gen(function* () {
 *   const operations = yield* snapshotter.init("example.com/snapshotter", {})
 *   const snapshotId = yield* operations.createSnapshot(yield* operations.getVolumeID(volume), "", {})
 *   const copy = yield* operations.createVolumeFromSnapshot({ snapshotId, volumeType: "disk", volumeAZ: "", iops: undefined })
 *   return (yield* operations.setVolumeID(volume, copy)).text
 * })
 * await Effect.runPromise(Effect.scoped(use)) // => `{"kind":"PersistentVolume","spec":{"disk":"copy-of-disk-1"}}`
 * ```
 */
export const make = <Config, R>(snapshotter: {
  readonly config: Schema.ConstraintDecoder<Config> & { readonly fields: Schema.Struct.Fields }
  readonly init: (config: Config) => Effect.Effect<Operations<R>, Failure, R | Scope.Scope>
}): VolumeSnapshotter<R> => {
  const decode = InitConfig.decoder(snapshotter.config, hostKeys)
  return { init: (plugin, config) => Effect.flatMap(decode(plugin, config), snapshotter.init) }
}
