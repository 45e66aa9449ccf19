/**
 * `example.com/custom-volume-snapshotter`: all seven methods of a volume snapshotter, which copies nothing.
 *
 * **When to use**: as the beginning of one for your own storage. **Gotchas**: a "snapshot" is only the volume's name, and a
 * restore mounts the volume as it is then. Each one is a warning, which `velero backup describe` shows.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Item from "../velero/Item.ts"
import * as Json from "../velero/Json.ts"
import * as View from "../velero/View.ts"
import * as VolumeSnapshotter from "../velero/VolumeSnapshotter.ts"

export class NoSuchSnapshot extends Data.TaggedError("NoSuchSnapshot")<{ readonly snapshotId: string }> {
  override get message() {
    return `there is no snapshot ${this.snapshotId}`
  }
}

/** A volume's id is the path of its hostPath. */
const PersistentVolume = Schema.Struct({
  spec: Schema.Struct({ hostPath: View.optional(Schema.Struct({ path: Schema.String })) })
})
const decodeVolume = Schema.decodeUnknownOption(PersistentVolume)

const snapshotPrefix = "snapshot-of:"

export const snapshotter = VolumeSnapshotter.make({
  // A VolumeSnapshotLocation for it has an empty `config`: any key is refused, with Velero's own words.
  config: Schema.Struct({}),
  init: () =>
    Effect.succeed({
      createSnapshot: (volumeId) =>
        Effect.as(
          Effect.logWarning(`Nothing of volume ${volumeId} was copied: this snapshotter is an example`),
          `${snapshotPrefix}${volumeId}`
        ),
      createVolumeFromSnapshot: ({ snapshotId }) =>
        snapshotId.startsWith(snapshotPrefix)
          ? Effect.succeed(snapshotId.slice(snapshotPrefix.length))
          : Effect.fail(new NoSuchSnapshot({ snapshotId })),
      // Velero hands both to createVolumeFromSnapshot again. Without I/O operations of its own a volume has `undefined`.
      getVolumeInfo: () => Effect.succeed({ type: "hostPath", iops: undefined }),
      deleteSnapshot: () => Effect.void,
      getVolumeID: (volume) =>
        Effect.succeed(
          Option.match(decodeVolume(volume.tree), {
            // Velero asks every snapshotter about every volume: no id means that another one is in charge.
            onNone: () => "",
            onSome: ({ spec }) => spec.hostPath?.path ?? ""
          })
        ),
      setVolumeID: (volume, volumeId) =>
        Effect.succeed(Item.patch(volume, [Json.set(["spec", "hostPath", "path"], volumeId)]))
    } satisfies VolumeSnapshotter.Operations<never>)
})
