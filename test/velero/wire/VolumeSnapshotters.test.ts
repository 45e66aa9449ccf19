import { assert, describe, it } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { VolumeSnapshotterDefinition as Definition } from "../../../src/generated/velero/volume_snapshotter.ts"
import * as Item from "../../../src/velero/Item.ts"
import * as Json from "../../../src/velero/Json.ts"
import * as Plugin from "../../../src/velero/Plugin.ts"
import * as VolumeSnapshotter from "../../../src/velero/VolumeSnapshotter.ts"
import * as Fixtures from "../Fixtures.ts"
import * as Host from "./Host.ts"

const plugin = "example.io/snapshotter"
const { methods } = Definition

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

/** A snapshotter that writes down what it is asked. */
const served = (change: Partial<VolumeSnapshotter.Operations<never>> = {}) =>
  Effect.gen(function* () {
    const asked: Array<ReadonlyArray<unknown>> = []
    const recording =
      <A>(name: string, answer: A) =>
      (...args: ReadonlyArray<unknown>) =>
        Effect.sync(() => {
          asked.push([name, ...args])
          return answer
        })
    const snapshotter = VolumeSnapshotter.make({
      config: Schema.Struct({ region: Schema.String }),
      init: ({ region }) =>
        Effect.as(region === "loud" ? Effect.logInfo("hear") : Effect.void, {
          createVolumeFromSnapshot: recording("create", "volume-2"),
          getVolumeInfo: recording("info", { type: region, iops: undefined }),
          createSnapshot: recording("snapshot", "snapshot-1"),
          deleteSnapshot: recording("delete", undefined),
          getVolumeID: (item: Item.Item) => recording("get", "volume-1")(item.tree["kind"]),
          setVolumeID: (item: Item.Item, id: string) =>
            Effect.succeed(Item.patch(item, [Json.set(["spec", "id"], id)])),
          ...change
        })
    })
    const running = yield* Host.serve([Plugin.volumeSnapshotter(plugin, () => Promise.resolve(snapshotter))])
    const unary = <Request, Response>(
      method: Parameters<typeof running.call<Request, Response>>[1],
      request: NoInfer<Request>
    ) => running.call(Definition.fullName, method, request)
    const init = (config: Record<string, string> = { region: "here" }) => unary(methods.init, { plugin, config })
    return { asked, init, unary, log: running.log }
  })

const volume = '{"kind":"PersistentVolume","spec":{"id":"volume-1","size":1.0},"z":9007199254740993}'

describe("methods", () => {
  it.live("hand their arguments over in Velero's meaning", () =>
    Effect.gen(function* () {
      const { asked, init, unary } = yield* served()
      yield* init()
      const create = { plugin, snapshotID: "s", volumeType: "gp3", volumeAZ: "z1" }
      assert.deepStrictEqual(yield* unary(methods.createVolumeFromSnapshot, { ...create, iops: 300n }), {
        volumeID: "volume-2"
      })
      yield* unary(methods.createVolumeFromSnapshot, { ...create, iops: 0n })
      const snapshot = { plugin, volumeID: "v", volumeAZ: "z1", tags: { "velero.io/backup": "b1" } }
      assert.deepStrictEqual(yield* unary(methods.createSnapshot, snapshot), { snapshotID: "snapshot-1" })
      assert.deepStrictEqual(yield* unary(methods.deleteSnapshot, { plugin, snapshotID: "s" }), {})
      const persistentVolume = Fixtures.bytesOf(volume)
      assert.deepStrictEqual(yield* unary(methods.getVolumeID, { plugin, persistentVolume }), { volumeID: "volume-1" })
      const asGiven = { snapshotId: "s", volumeType: "gp3", volumeAZ: "z1" }
      assert.deepStrictEqual(asked, [
        ["create", { ...asGiven, iops: 300 }],
        ["create", { ...asGiven, iops: undefined }],
        ["snapshot", "v", "z1", { "velero.io/backup": "b1" }],
        ["delete", "s"],
        ["get", "PersistentVolume"]
      ])
    })
  )

  it.live.each([
    [undefined, 0n],
    [3000, 3000n]
  ] as const)("answer iops %s as %s", ([iops, onTheWire]) =>
    Effect.gen(function* () {
      const { init, unary } = yield* served({ getVolumeInfo: () => Effect.succeed({ type: "gp3", iops }) })
      yield* init()
      const info = yield* unary(methods.getVolumeInfo, { plugin, volumeID: "v", volumeAZ: "z" })
      assert.deepStrictEqual(info, { volumeType: "gp3", iops: onTheWire })
    })
  )

  it.live("patch a PersistentVolume, and leave every other byte alone", () =>
    Effect.gen(function* () {
      const { init, unary } = yield* served()
      yield* init()
      const request = { plugin, persistentVolume: Fixtures.bytesOf(volume), volumeID: "volume-3" }
      const { persistentVolume } = yield* unary(methods.setVolumeID, request)
      assert.strictEqual(Fixtures.textOf(persistentVolume), volume.replace("volume-1", "volume-3"))
    })
  )

  it.live("refuse a PersistentVolume that is no JSON object", () =>
    Effect.gen(function* () {
      const { init, unary } = yield* served()
      yield* init()
      for (const text of ["", "[]", "{"]) {
        const persistentVolume = Fixtures.bytesOf(text)
        const error = yield* Effect.flip(unary(methods.getVolumeID, { plugin, persistentVolume }))
        assert.include(error.message, "the item is not a Kubernetes object in JSON")
      }
    })
  )

  it.live("fail with the snapshotter's own message", () =>
    Effect.gen(function* () {
      const { init, unary } = yield* served({
        deleteSnapshot: () => Effect.fail(new Refused({ message: "it is in use" }))
      })
      yield* init()
      const error = yield* Effect.flip(unary(methods.deleteSnapshot, { plugin, snapshotID: "s" }))
      assert.deepStrictEqual([error.code, error.message], [2, "it is in use"])
    })
  )
})

describe("init", () => {
  it.live("takes the keys that Velero adds, and refuses others with Velero's own text", () =>
    Effect.gen(function* () {
      const { init } = yield* served()
      yield* init({ region: "here", credentialsFile: "/c" })
      const error = yield* Effect.flip(init({ region: "here", bucket: "b" }))
      assert.strictEqual(error.message, "config has invalid keys [bucket]; valid keys are [credentialsFile region]")
    })
  )

  it.live("the last one counts: calls name no location", () =>
    Effect.gen(function* () {
      const { init, unary } = yield* served()
      yield* init({ region: "here" })
      yield* init({ region: "there" })
      const info = yield* unary(methods.getVolumeInfo, { plugin, volumeID: "v", volumeAZ: "z" })
      assert.strictEqual(info.volumeType, "there")
    })
  )

  it.live("has to come before any call", () =>
    Effect.gen(function* () {
      const { unary } = yield* served()
      const error = yield* Effect.flip(unary(methods.deleteSnapshot, { plugin, snapshotID: "s" }))
      assert.strictEqual(error.message, `${plugin} was called before it was initialized`)
    })
  )
})

describe("log lines", () => {
  it.live("tell which plugin speaks, and what it was asked", () =>
    Effect.gen(function* () {
      const said =
        <A>(answer: A) =>
        () =>
          Effect.as(Effect.logInfo("hear"), answer)
      const { log, unary } = yield* served({
        createVolumeFromSnapshot: said("volume-2"),
        getVolumeInfo: said({ type: "gp3", iops: undefined }),
        createSnapshot: said("snapshot-1"),
        deleteSnapshot: said(undefined),
        getVolumeID: said("volume-1"),
        setVolumeID: (item) => said(item)()
      })
      const persistentVolume = Fixtures.bytesOf(volume)
      const create = { snapshotID: "s", volumeType: "gp3", volumeAZ: "z1", iops: 0n }
      yield* unary(methods.init, { plugin, config: { region: "loud" } })
      yield* unary(methods.createVolumeFromSnapshot, { plugin, ...create })
      yield* unary(methods.getVolumeInfo, { plugin, volumeID: "v", volumeAZ: "z1" })
      yield* unary(methods.createSnapshot, { plugin, volumeID: "v", volumeAZ: "z1", tags: {} })
      yield* unary(methods.deleteSnapshot, { plugin, snapshotID: "s" })
      yield* unary(methods.getVolumeID, { plugin, persistentVolume })
      yield* unary(methods.setVolumeID, { plugin, persistentVolume, volumeID: "v" })
      assert.deepStrictEqual(Host.logSources(log), [
        `${plugin}:init`,
        `${plugin}:createVolumeFromSnapshot`,
        `${plugin}:getVolumeInfo`,
        `${plugin}:createSnapshot`,
        `${plugin}:deleteSnapshot`,
        `${plugin}:getVolumeID`,
        `${plugin}:setVolumeID`
      ])
    })
  )
})
