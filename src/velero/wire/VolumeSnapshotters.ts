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
import { speakingAs } from "./Messages.ts"
import { find } from "./Registry.ts"

export const services = <R>(plugins: ReadonlyArray<Plugin<R>>): ReadonlyArray<Service<R | PluginConfig>> => {
  const snapshotter = find(plugins, "VolumeSnapshotter")
  const instances = Instances.make<Operations<R>>()
  const on = <A, E>(
    method: string,
    request: { readonly plugin: string },
    call: (operations: Operations<R>) => Effect.Effect<A, E, R>
  ) => speakingAs(method)(Effect.andThen(snapshotter(request.plugin), instances.use(request.plugin, "", call)), request)
  return [
    Rpc.service(VolumeSnapshotterDefinition, {
      init: Effect.fnUntraced(function* ({ config, plugin }) {
        const { init } = yield* snapshotter(plugin)
        yield* instances.init(plugin, "", init(plugin, config))
        return {}
      }, speakingAs("init")),
      createVolumeFromSnapshot: Effect.fnUntraced(function* (request) {
        const { iops, snapshotID, volumeAZ, volumeType } = request
        const volumeID = yield* on("createVolumeFromSnapshot", request, ({ createVolumeFromSnapshot }) =>
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
        const { iops, type } = yield* on("getVolumeInfo", request, ({ getVolumeInfo }) =>
          getVolumeInfo(request.volumeID, request.volumeAZ)
        )
        return { volumeType: type, iops: BigInt(iops ?? 0) }
      }),
      createSnapshot: Effect.fnUntraced(function* (request) {
        const { tags, volumeAZ, volumeID } = request
        return {
          snapshotID: yield* on("createSnapshot", request, ({ createSnapshot }) =>
            createSnapshot(volumeID, volumeAZ, tags)
          )
        }
      }),
      deleteSnapshot: Effect.fnUntraced(function* (request) {
        yield* on("deleteSnapshot", request, ({ deleteSnapshot }) => deleteSnapshot(request.snapshotID))
        return {}
      }),
      getVolumeID: Effect.fnUntraced(function* (request) {
        const volume = yield* Effect.fromResult(Item.parse(request.persistentVolume))
        return { volumeID: yield* on("getVolumeID", request, ({ getVolumeID }) => getVolumeID(volume)) }
      }),
      setVolumeID: Effect.fnUntraced(function* (request) {
        const volume = yield* Effect.fromResult(Item.parse(request.persistentVolume))
        const { bytes } = yield* on("setVolumeID", request, ({ setVolumeID }) => setVolumeID(volume, request.volumeID))
        return { persistentVolume: bytes }
      })
    })
  ]
}
