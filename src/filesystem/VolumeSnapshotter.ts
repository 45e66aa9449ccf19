/**
 * `velero-filesystem/volume-snapshotter`: copies of hostPath and local volumes, for the node that Velero runs on.
 *
 * A snapshot is a copy of the volume's directory below the location's root; where both are on one file system that can share
 * blocks, it takes no space and hardly any time. It is **not crash-consistent**: files are copied one after the other while
 * programs write to them; stop or freeze those with Velero's backup hooks. What is kept of a file is in `TreeCopy.ts`.
 *
 * A volume is restored to a new directory beside the old one, which is never touched.
 */
import * as EffectConfig from "effect/Config"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Resource } from "../kubernetes/Kubernetes.ts"
import { Kubernetes } from "../kubernetes/Kubernetes.ts"
import * as Item from "../velero/Item.ts"
import * as Sdk from "../velero/VolumeSnapshotter.ts"
import { AbsolutePath, veleroNamespace } from "./Config.ts"
import * as PersistentVolume from "./PersistentVolume.ts"
import * as Snapshots from "./Snapshots.ts"

/** The location's `spec.config`. */
export const Config = Schema.Struct({
  /** The directory that snapshots are kept below. */
  root: AbsolutePath,
  /** Where the node's own root directory is in Velero's pod. */
  hostRoot: AbsolutePath.pipe(Schema.withDecodingDefaultKey(Effect.succeed("/"))),
  /** The node that Velero runs on; default: what its pod says. */
  node: Schema.optionalKey(Schema.NonEmptyString)
})
export type Config = typeof Config.Type

/** The PersistentVolume is not what Kubernetes says one is. */
export class UnreadableVolume extends Data.TaggedError("UnreadableVolume")<{ readonly detail: string }> {
  override get message() {
    return `the PersistentVolume cannot be read: ${this.detail}`
  }
}

/** The volume's directory is on a node that this process does not see. */
export class OtherNode extends Data.TaggedError("OtherNode")<{
  readonly volume: string
  readonly nodes: ReadonlyArray<string>
  readonly here: string
}> {
  override get message() {
    return `PersistentVolume ${this.volume} is on node ${this.nodes.join(" or ")}, and Velero on ${this.here}: only directories of Velero's own node can be copied. Let Velero run there, or use a file-system backup for this volume`
  }
}

/** Nobody says where Velero runs. */
export class UnknownNode extends Data.TaggedError("UnknownNode")<{ readonly volume: string; readonly detail: string }> {
  override get message() {
    return `PersistentVolume ${this.volume} is on a certain node, and on which one Velero runs is not known: ${this.detail}. Set node in the config of the VolumeSnapshotLocation`
  }
}

/** The PersistentVolume has no volume of that type. */
export class OtherType extends Data.TaggedError("OtherType")<{ readonly volume: string; readonly id: string }> {
  override get message() {
    return `PersistentVolume ${this.volume} cannot be given the volume ${this.id}: its own is of another type`
  }
}

const pods: Resource = { group: "", version: "v1", resource: "pods", kind: "Pod", namespaced: true }
const nodes: Resource = { group: "", version: "v1", resource: "nodes", kind: "Node", namespaced: false }

const decode = Schema.decodeUnknownEffect(PersistentVolume.PersistentVolume, { errors: "all" })

const view = (item: Item.Item): Effect.Effect<PersistentVolume.PersistentVolume, UnreadableVolume> =>
  Effect.mapError(
    decode(item.tree),
    ({ message }) => new UnreadableVolume({ detail: message.replace(/\s*\n\s*/g, " ") })
  )

/** Names of the node that this pod is on: Kubernetes' own, and the host name that volumes are tied to. */
const findNode = Effect.gen(function* () {
  const kubernetes = yield* Kubernetes
  const hostname = yield* EffectConfig.String("HOSTNAME").pipe(EffectConfig.withDefault(""), Effect.orDie)
  const pod = yield* kubernetes.get(pods, yield* veleroNamespace, hostname)
  const name = (pod["spec"] as { readonly nodeName?: string } | undefined)?.nodeName ?? ""
  const node = yield* kubernetes.get(nodes, undefined, name)
  return [name, node.metadata?.labels?.[PersistentVolume.hostnameLabel] ?? name]
})

/** Fails for a volume that is tied to other nodes than ours. */
const checkNode = Effect.fnUntraced(function* (
  volume: PersistentVolume.PersistentVolume,
  node: string | undefined
): Effect.fn.Return<void, OtherNode | UnknownNode, Kubernetes> {
  const tied = Option.getOrUndefined(PersistentVolume.nodesOf(volume))
  if (tied === undefined) return
  const { name } = volume.metadata
  const here =
    node === undefined
      ? yield* Effect.mapError(findNode, ({ message }) => new UnknownNode({ volume: name, detail: message }))
      : [node]
  if (!here.some((one) => tied.includes(one))) {
    return yield* new OtherNode({ volume: name, nodes: tied, here: here[0] ?? "" })
  }
})

const init = Effect.fnUntraced(function* ({
  hostRoot,
  node,
  root
}: Config): Effect.fn.Return<Sdk.Operations<Kubernetes>> {
  const snapshots = Snapshots.make(root, hostRoot)
  yield* snapshots.sweep
  return {
    getVolumeID: Effect.fn("VolumeSnapshotter.getVolumeID")(function* (item) {
      const volume = yield* view(item)
      const found = Option.getOrUndefined(PersistentVolume.volumeOf(volume))
      if (found === undefined) return ""
      yield* checkNode(volume, node)
      return PersistentVolume.idOf(found)
    }),
    setVolumeID: Effect.fn("VolumeSnapshotter.setVolumeID")(function* (item, id) {
      const volume = yield* view(item)
      const next = yield* Effect.fromResult(PersistentVolume.parseId(id))
      const current = Option.getOrUndefined(PersistentVolume.volumeOf(volume))
      if (current?.type !== next.type) return yield* new OtherType({ volume: volume.metadata.name, id })
      // The copy is here: tied to another node, the volume would be empty there.
      yield* checkNode(volume, node)
      return Item.patch(item, PersistentVolume.setVolume(next))
    }),
    getVolumeInfo: Effect.fn("VolumeSnapshotter.getVolumeInfo")(function* (id) {
      const volume = yield* Effect.fromResult(PersistentVolume.parseId(id))
      yield* snapshots.check(volume)
      return { type: volume.type, iops: undefined }
    }),
    createSnapshot: Effect.fn("VolumeSnapshotter.createSnapshot")(function* (id, _, tags) {
      return yield* snapshots.take(yield* Effect.fromResult(PersistentVolume.parseId(id)), tags)
    }),
    deleteSnapshot: snapshots.remove,
    createVolumeFromSnapshot: ({ snapshotId }) => Effect.map(snapshots.restore(snapshotId), PersistentVolume.idOf)
  }
})

export const volumeSnapshotter: Sdk.VolumeSnapshotter<Kubernetes> = Sdk.make({ config: Config, init })
