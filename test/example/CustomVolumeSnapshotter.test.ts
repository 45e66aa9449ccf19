import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { snapshotter } from "../../src/example/CustomVolumeSnapshotter.ts"
import * as Item from "../../src/velero/Item.ts"
import type { Operations } from "../../src/velero/VolumeSnapshotter.ts"
import * as JsonText from "../../src/testing/JsonText.ts"
import * as Fixtures from "../velero/Fixtures.ts"
import { odd } from "./World.ts"

const plugin = "example.com/custom-volume-snapshotter"

/** Uses a snapshotter, and tells what it logged. */
const using = <A, E>(use: (operations: Operations<never>) => Effect.Effect<A, E>, config = {}) => {
  const log = Fixtures.makeLog()
  return Effect.flatMap(snapshotter.init(plugin, config), use).pipe(
    Effect.scoped,
    Effect.provide(log.layer),
    Effect.map((answer) => ({ answer, lines: log.lines.map((line) => [line["@level"], line["@message"]]) }))
  )
}

const volume = (spec: string) => Result.getOrThrow(Item.parse(Fixtures.bytesOf(odd("PersistentVolume", "", spec))))
const onHost = volume(`,"spec":{"hostPath":{ "path" : "/data/one","type":"" },"capacity":{"storage":1.0}}`)

describe("a snapshot", () => {
  it.effect("is a warning, and leads back to its volume in any later process", () =>
    Effect.gen(function* () {
      const made = yield* using(({ createSnapshot }) => createSnapshot("/data/one", "", { "velero.io/backup": "b" }))
      assert.deepStrictEqual(made.lines, [
        ["warn", "Nothing of volume /data/one was copied: this snapshotter is an example"]
      ])
      const restored = yield* using(({ createVolumeFromSnapshot }) =>
        createVolumeFromSnapshot({ snapshotId: made.answer, volumeType: "hostPath", volumeAZ: "", iops: undefined })
      )
      assert.strictEqual(restored.answer, "/data/one")
      yield* using(({ deleteSnapshot }) => deleteSnapshot(made.answer))
    })
  )

  it.effect("of another snapshotter is an error", () =>
    Effect.gen(function* () {
      const request = { snapshotId: "snap-1", volumeType: "", volumeAZ: "", iops: 100 }
      const error = yield* Effect.flip(using(({ createVolumeFromSnapshot }) => createVolumeFromSnapshot(request)))
      assert.strictEqual(error.message, "there is no snapshot snap-1")
    })
  )
})

describe("a PersistentVolume", () => {
  it.effect("on a host path has an id, and any other one has none", () =>
    Effect.gen(function* () {
      const { answer } = yield* using(({ getVolumeID, getVolumeInfo }) =>
        Effect.all([
          getVolumeID(onHost),
          getVolumeID(volume(`,"spec":{"nfs":{"path":"/x"}}`)),
          getVolumeID(volume(`,"spec":{"hostPath":null}`)),
          getVolumeID(volume("")),
          getVolumeInfo("/data/one", "")
        ])
      )
      assert.deepStrictEqual(answer, ["/data/one", "", "", "", { type: "hostPath", iops: undefined }])
    })
  )

  it.effect("gets another path, and keeps the rest", () =>
    Effect.gen(function* () {
      const { answer } = yield* using(({ getVolumeID, setVolumeID }) =>
        Effect.gen(function* () {
          const moved = yield* setVolumeID(onHost, "/data/two")
          return [moved.text, yield* getVolumeID(moved)]
        })
      )
      assert.deepStrictEqual(answer, [onHost.text.replace("/data/one", "/data/two"), "/data/two"])
    })
  )

  it.effect.prop(
    "keeps every other byte",
    { drawn: JsonText.documents({ duplicates: true }) },
    ({ drawn: { document } }) =>
      Effect.gen(function* () {
        const value = JsonText.print(document.root)
        const of = (path: string) => volume(`,"spec":{"x":${value},"hostPath":{"y":${value},"path": "${path}" }}`)
        const { answer } = yield* using(({ setVolumeID }) => setVolumeID(of("/a"), "/b"))
        assert.strictEqual(answer.text, of("/b").text)
      }),
    { arbitrary: { runs: 100, size: 250 } }
  )
})

describe("the configuration", () => {
  it.effect("has no keys but Velero's own", () =>
    Effect.gen(function* () {
      yield* using(() => Effect.void, { credentialsFile: "/x" })
      const error = yield* Effect.flip(using(() => Effect.void, { region: "r" }))
      assert.strictEqual(error.message, "config has invalid keys [region]; valid keys are [credentialsFile]")
    })
  )
})
