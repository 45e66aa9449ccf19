/** `VolumeSnapshotter`: messages to effects and back; on the wire, no iops is 0. */
import * as Effect from "effect/Effect"
import { VolumeSnapshotterDefinition } from "../../generated/velero/volume_snapshotter.ts"
import type { Service } from "../../go-plugin/Rpc.ts"
import * as Rpc from "../../go-plugin/Rpc.ts"
import * as Item from "../Item.ts"
import type { Plugin } from "../Plugin.ts"
import type { PluginConfig } from "../PluginConfig.ts"
import type { Operations } from "../VolumeSnapshotter.ts"
import * as Instances from "./Instances.ts"
import { find } from "./Registry.ts"

export const services = <R>(plugins: ReadonlyArray<Plugin<R>>): ReadonlyArray<Service<R | PluginConfig>> => {
  const snapshotter = find(plugins, "VolumeSnapshotter")
  const instances = Instances.make<Operations<R>>()
  const of = ({ plugin }: { readonly plugin: string }) => Effect.andThen(snapshotter(plugin), instances.get(plugin))
  return [
    Rpc.service(VolumeSnapshotterDefinition, {
      init: Effect.fnUntraced(function* ({ config, plugin }) {
        const { init } = yield* snapshotter(plugin)
        yield* instances.init(plugin, "", init(plugin, config))
        return {}
      }),
      createVolumeFromSnapshot: Effect.fnUntraced(function* (request) {
        const { createVolumeFromSnapshot } = yield* of(request)
        const volumeID = yield* createVolumeFromSnapshot({
          snapshotId: request.snapshotID,
          volumeType: request.volumeType,
          volumeAZ: request.volumeAZ,
          iops: request.iops === 0n ? undefined : Number(request.iops)
        })
        return { volumeID }
      }),
      getVolumeInfo: Effect.fnUntraced(function* (request) {
        const { getVolumeInfo } = yield* of(request)
        const { iops, type } = yield* getVolumeInfo(request.volumeID, request.volumeAZ)
        return { volumeType: type, iops: BigInt(iops ?? 0) }
      }),
      createSnapshot: Effect.fnUntraced(function* (request) {
        const { createSnapshot } = yield* of(request)
        return { snapshotID: yield* createSnapshot(request.volumeID, request.volumeAZ, request.tags) }
      }),
      deleteSnapshot: Effect.fnUntraced(function* (request) {
        const { deleteSnapshot } = yield* of(request)
        yield* deleteSnapshot(request.snapshotID)
        return {}
      }),
      getVolumeID: Effect.fnUntraced(function* (request) {
        const { getVolumeID } = yield* of(request)
        const volume = yield* Effect.fromResult(Item.parse(request.persistentVolume))
        return { volumeID: yield* getVolumeID(volume) }
      }),
      setVolumeID: Effect.fnUntraced(function* (request) {
        const { setVolumeID } = yield* of(request)
        const volume = yield* Effect.fromResult(Item.parse(request.persistentVolume))
        const { bytes } = yield* setVolumeID(volume, request.volumeID)
        return { persistentVolume: bytes }
      })
    })
  ]
}
