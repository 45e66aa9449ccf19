import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as PersistentVolume from "../../src/filesystem/PersistentVolume.ts"
import * as Item from "../../src/velero/Item.ts"

const volume = (spec: object): PersistentVolume.PersistentVolume =>
  Schema.decodeSync(PersistentVolume.PersistentVolume)({ metadata: { name: "pv" }, spec })

const term = (key: string, operator: string, ...values: ReadonlyArray<string>) => ({
  matchExpressions: [{ key, operator, values }]
})
const tiedTo = (...nodeSelectorTerms: ReadonlyArray<object>) =>
  volume({ hostPath: { path: "/a" }, nodeAffinity: { required: { nodeSelectorTerms } } })

describe("volumes", () => {
  it.each<readonly [object, Option.Option<PersistentVolume.Volume>]>([
    [
      { hostPath: { path: "/var/lib/a", type: "DirectoryOrCreate" } },
      Option.some({ type: "hostPath", path: "/var/lib/a" })
    ],
    [
      { local: { path: "/mnt/disks/a", fsType: "ext4" }, hostPath: null },
      Option.some({ type: "local", path: "/mnt/disks/a" })
    ],
    [{ csi: { driver: "x", volumeHandle: "/a" } }, Option.none()],
    [{ nfs: { server: "s", path: "/a" } }, Option.none()],
    [{}, Option.none()]
  ])("of %j are known by their directory", (spec, expected) =>
    assert.deepStrictEqual(PersistentVolume.volumeOf(volume(spec)), expected)
  )

  it.effect.prop(
    "are read back from their ids",
    { type: Schema.Literals(["hostPath", "local"]), name: Schema.String },
    ({ name, type }) =>
      Effect.sync(() => {
        const one = { type, path: `/${name.replace(/[\0/]|^\.{1,2}$/g, "_")}` }
        assert.deepStrictEqual(PersistentVolume.parseId(PersistentVolume.idOf(one)), Result.succeed(one))
      })
  )

  it.each(["", "vol-0123", "hostPath:", "hostPath:a", "local:/a/../b", "local:/./a", "nfs:/a", "local:/a\0"])(
    "have no id %j",
    (id) => assert.include(Result.getOrThrow(Result.flip(PersistentVolume.parseId(id))).message, JSON.stringify(id))
  )

  it("change in one place, and nowhere else", () => {
    const text =
      '{"kind":"PersistentVolume","spec":{"hostPath":{"type":"","path":"/a"},"big":9007199254740993,"x":1.0}}'
    const item = Result.getOrThrow(Item.parse(new TextEncoder().encode(text)))
    const changed = Item.patch(item, PersistentVolume.setVolume({ type: "hostPath", path: "/b" }))
    assert.strictEqual(changed.text, text.replace('"/a"', '"/b"'))
  })
})

describe("nodes", () => {
  const hostname = PersistentVolume.hostnameLabel

  it.each<readonly [string, PersistentVolume.PersistentVolume, ReadonlyArray<string> | undefined]>([
    ["nothing", volume({ hostPath: { path: "/a" } }), undefined],
    ["no terms", tiedTo(), undefined],
    ["one node", tiedTo(term(hostname, "In", "n1")), ["n1"]],
    ["several terms", tiedTo(term(hostname, "In", "n1", "n2"), term(hostname, "In", "n2", "n3")), ["n1", "n2", "n3"]],
    ["a field", tiedTo({ matchFields: [{ key: "metadata.name", operator: "In", values: ["n1"] }] }), ["n1"]],
    ["a zone", tiedTo(term("topology.kubernetes.io/zone", "In", "z")), undefined],
    ["a node or a zone", tiedTo(term(hostname, "In", "n1"), term("topology.kubernetes.io/zone", "In", "z")), undefined],
    ["all but one node", tiedTo(term(hostname, "NotIn", "n1")), undefined]
  ])("are told by %s", (_, one, expected) =>
    assert.deepStrictEqual(PersistentVolume.nodesOf(one), Option.fromUndefinedOr(expected))
  )
})
