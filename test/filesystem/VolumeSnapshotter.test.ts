import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { volumeSnapshotter } from "../../src/filesystem/VolumeSnapshotter.ts"
import type { KubernetesObject } from "../../src/kubernetes/Kubernetes.ts"
import * as Memory from "../../src/kubernetes/Memory.ts"
import * as Item from "../../src/velero/Item.ts"
import type { JsonObject } from "../../src/velero/Json.ts"
import * as World from "./World.ts"

const plugin = "velero-filesystem/volume-snapshotter"

const pod: KubernetesObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "velero-5d9c", namespace: "velero" },
  spec: { nodeName: "worker-1" }
}
const nodeObject = (hostname: string): KubernetesObject => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "worker-1", labels: { "kubernetes.io/hostname": hostname } }
})

const running = (objects: ReadonlyArray<KubernetesObject>) =>
  Layer.mergeAll(
    Memory.layer(objects),
    ConfigProvider.layer(ConfigProvider.fromEnvRecord({ HOSTNAME: "velero-5d9c" })),
    Logger.layer([])
  )
const onWorker1 = running([pod, nodeObject("worker-1")])

/** A location, with a node's file system that has one volume. */
const location = (config: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    const hostRoot = yield* World.directory
    const root = yield* World.directory
    Fs.mkdirSync(Path.join(hostRoot, "data"))
    Fs.writeFileSync(Path.join(hostRoot, "data", "file"), "content")
    const snapshotter = yield* volumeSnapshotter.init(plugin, { root, hostRoot, ...config })
    return { hostRoot, root, snapshotter }
  })

const volume = (spec: JsonObject, ...nodes: ReadonlyArray<string>): Item.Item =>
  Item.fromObject({
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: "pv-1" },
    spec: {
      ...spec,
      ...(nodes.length === 0
        ? {}
        : {
            nodeAffinity: {
              required: {
                nodeSelectorTerms: [
                  { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: nodes }] }
                ]
              }
            }
          })
    }
  })
const data = { hostPath: { path: "/data" } }

describe("the location's config", () => {
  it.effect("takes a root, and refuses what it does not know in Velero's words", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(volumeSnapshotter.init(plugin, { root: "/r", bucket: "b" }))
      assert.strictEqual(
        error.message,
        "config has invalid keys [bucket]; valid keys are [credentialsFile hostRoot node root]"
      )
      assert.include((yield* Effect.flip(volumeSnapshotter.init(plugin, {}))).message, `["root"]`)
      yield* volumeSnapshotter.init(plugin, { root: "/r", credentialsFile: "/c" })
    }).pipe(Effect.provide(onWorker1))
  )
})

describe("a backup and a restore", () => {
  it.live("copy a volume, and put the copy behind the PersistentVolume", () =>
    Effect.gen(function* () {
      const { hostRoot, snapshotter } = yield* location()
      const item = volume({ local: { path: "/data" } }, "worker-1")
      const id = yield* snapshotter.getVolumeID(item)
      assert.strictEqual(id, "local:/data")
      assert.deepStrictEqual(yield* snapshotter.getVolumeInfo(id, ""), { type: "local", iops: undefined })
      const snapshotId = yield* snapshotter.createSnapshot(id, "", { "velero.io/pv": "pv-1" })
      const restored = yield* snapshotter.createVolumeFromSnapshot({
        snapshotId,
        volumeType: "local",
        volumeAZ: "",
        iops: undefined
      })
      const changed = yield* snapshotter.setVolumeID(item, restored)
      const { path } = (changed.tree["spec"] as { readonly local: { readonly path: string } }).local
      assert.strictEqual(restored, `local:${path}`)
      assert.strictEqual(changed.text, item.text.replace('"/data"', JSON.stringify(path)))
      assert.strictEqual(Fs.readFileSync(Path.join(hostRoot, path, "file"), "utf8"), "content")
      yield* snapshotter.deleteSnapshot(snapshotId)
      yield* snapshotter.deleteSnapshot(snapshotId)
    }).pipe(Effect.provide(onWorker1))
  )

  it.live("of volumes of other kinds are somebody else's business", () =>
    Effect.gen(function* () {
      const { snapshotter } = yield* location()
      for (const spec of [{ csi: { driver: "x", volumeHandle: "y" } }, { nfs: { server: "s", path: "/" } }, {}]) {
        assert.strictEqual(yield* snapshotter.getVolumeID(volume(spec, "elsewhere")), "")
      }
    }).pipe(Effect.provide(onWorker1))
  )

  it.live("of a volume with no directory here fail before anything is copied", () =>
    Effect.gen(function* () {
      const { snapshotter } = yield* location()
      const id = yield* snapshotter.getVolumeID(volume({ hostPath: { path: "/other" } }))
      assert.strictEqual((yield* Effect.flip(snapshotter.getVolumeInfo(id, "")))._tag, "NoVolume")
      assert.strictEqual((yield* Effect.flip(snapshotter.getVolumeInfo("vol-1", "")))._tag, "UnknownVolumeId")
    }).pipe(Effect.provide(onWorker1))
  )

  it.live("do not change a volume's type", () =>
    Effect.gen(function* () {
      const { snapshotter } = yield* location()
      for (const item of [volume(data), volume({ csi: {} })]) {
        const error = yield* Effect.flip(snapshotter.setVolumeID(item, "local:/data"))
        assert.strictEqual(error._tag, "OtherType")
        assert.include(error.message, "pv-1")
      }
    }).pipe(Effect.provide(onWorker1))
  )

  it.live("need a PersistentVolume that is one", () =>
    Effect.gen(function* () {
      const { snapshotter } = yield* location()
      const item = Item.fromObject({ metadata: { name: "pv-1" }, spec: { hostPath: { path: 1 } } })
      const error = yield* Effect.flip(snapshotter.getVolumeID(item))
      assert.include(error.message, "the PersistentVolume cannot be read")
      assert.include(error.message, `["path"]`)
    }).pipe(Effect.provide(onWorker1))
  )
})

describe("the node", () => {
  it.live("is what the pod says; volumes of others are refused both ways", () =>
    Effect.gen(function* () {
      const { snapshotter } = yield* location()
      assert.strictEqual(yield* snapshotter.getVolumeID(volume(data, "worker-1", "worker-2")), "hostPath:/data")
      for (const attempt of [
        Effect.asVoid(snapshotter.getVolumeID(volume(data, "worker-2"))),
        Effect.asVoid(snapshotter.setVolumeID(volume(data, "worker-2"), "hostPath:/data"))
      ]) {
        const error = yield* Effect.flip(attempt)
        assert.strictEqual(error._tag, "OtherNode")
        assert.include(error.message, "PersistentVolume pv-1 is on node worker-2, and Velero on worker-1")
      }
    }).pipe(Effect.provide(onWorker1))
  )

  it.live("may go by its host name", () =>
    Effect.gen(function* () {
      const { snapshotter } = yield* location()
      assert.strictEqual(yield* snapshotter.getVolumeID(volume(data, "ip-10-0-0-1")), "hostPath:/data")
    }).pipe(Effect.provide(running([pod, nodeObject("ip-10-0-0-1")])))
  )

  it.live("may be set, and is then asked of nobody", () =>
    Effect.gen(function* () {
      const { snapshotter } = yield* location({ node: "worker-2" })
      assert.strictEqual(yield* snapshotter.getVolumeID(volume(data, "worker-2")), "hostPath:/data")
      assert.strictEqual((yield* Effect.flip(snapshotter.getVolumeID(volume(data, "worker-1"))))._tag, "OtherNode")
    }).pipe(Effect.provide(running([])))
  )

  it.live("that nobody knows is an error, but for volumes that are on none", () =>
    Effect.gen(function* () {
      const { snapshotter } = yield* location()
      assert.strictEqual(yield* snapshotter.getVolumeID(volume(data)), "hostPath:/data")
      const error = yield* Effect.flip(snapshotter.getVolumeID(volume(data, "worker-1")))
      assert.strictEqual(error._tag, "UnknownNode")
      assert.include(error.message, "Set node in the config of the VolumeSnapshotLocation")
    }).pipe(Effect.provide(running([])))
  )
})
