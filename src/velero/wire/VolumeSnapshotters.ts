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
  const on = <A, E>(
    { plugin }: { readonly plugin: string },
    call: (operations: Operations<R>) => Effect.Effect<A, E, R>
  ) => Effect.andThen(snapshotter(plugin), instances.use(plugin, "", call))
  return [
    Rpc.service(VolumeSnapshotterDefinition, {
      init: Effect.fnUntraced(function* ({ config, plugin }) {
        const { init } = yield* snapshotter(plugin)
        yield* instances.init(plugin, "", init(plugin, config))
        return {}
      }),
      createVolumeFromSnapshot: Effect.fnUntraced(function* (request) {
        const { iops, snapshotID, volumeAZ, volumeType } = request
        const volumeID = yield* on(request, ({ createVolumeFromSnapshot }) =>
          createVolumeFromSnapshot({
            snapshotId: snapshotID,
            volumeType,
            volumeAZ,
            iops: iops === 0n ? undefined : Number(iops)
          })
        )
        return { volumeID }
      }),
      getVolumeInfo: Effect.fnUntraced(function* (request) {
        const { iops, type } = yield* on(request, ({ getVolumeInfo }) =>
          getVolumeInfo(request.volumeID, request.volumeAZ)
        )
        return { volumeType: type, iops: BigInt(iops ?? 0) }
      }),
      createSnapshot: Effect.fnUntraced(function* (request) {
        const { tags, volumeAZ, volumeID } = request
        return { snapshotID: yield* on(request, ({ createSnapshot }) => createSnapshot(volumeID, volumeAZ, tags)) }
      }),
      deleteSnapshot: Effect.fnUntraced(function* (request) {
        yield* on(request, ({ deleteSnapshot }) => deleteSnapshot(request.snapshotID))
        return {}
      }),
      getVolumeID: Effect.fnUntraced(function* (request) {
        const volume = yield* Effect.fromResult(Item.parse(request.persistentVolume))
        return { volumeID: yield* on(request, ({ getVolumeID }) => getVolumeID(volume)) }
      }),
      setVolumeID: Effect.fnUntraced(function* (request) {
        const volume = yield* Effect.fromResult(Item.parse(request.persistentVolume))
        const { bytes } = yield* on(request, ({ setVolumeID }) => setVolumeID(volume, request.volumeID))
        return { persistentVolume: bytes }
      })
    })
  ]
}
