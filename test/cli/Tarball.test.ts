import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Tarball from "../../src/cli/preview/Tarball.ts"
import { type Entry, entryOf } from "../../src/testing/VeleroHost.ts"
import * as World from "../cnpg/World.ts"
import * as Tarballs from "./Tarballs.ts"

const items: ReadonlyArray<Entry> = World.json(World.shop).map((object) => entryOf(JSON.stringify(object)))

/** In pieces that end anywhere. */
async function* inPieces(bytes: Buffer, size = 1000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const read = (bytes: Buffer, isWanted: (entry: Entry) => boolean = () => true) =>
  Tarball.read("backup.tar.gz", inPieces(bytes), isWanted)

const message = (bytes: Buffer) => Effect.map(Effect.flip(read(bytes)), (error) => error.message)

const item = (text: string): readonly [string, string] => ["resources/pods/namespaces/shop/a.json", text]

describe("a backup's tarball", () => {
  it.live("is read with each item once, as it was stored", () =>
    Effect.gen(function* () {
      const { entries, others, version } = yield* read(yield* Effect.promise(() => Tarballs.backup(items)))
      assert.deepStrictEqual(entries, items)
      assert.strictEqual(others.size, 0)
      assert.strictEqual(version, "1.1.0")
    })
  )

  it.live("is counted where nobody wants it", () =>
    Effect.gen(function* () {
      const bytes = yield* Effect.promise(() => Tarballs.backup(items))
      const { entries, others } = yield* read(bytes, ({ kind }) => kind === "Cluster")
      assert.deepStrictEqual(
        entries.map(({ name }) => name),
        ["orders"]
      )
      assert.strictEqual(others.get("pods"), items.filter(({ kind }) => kind === "Pod").length)
      assert.strictEqual([...others.values()].reduce((a, b) => a + b) + 1, items.length)
    })
  )

  it.live("has the last of two items in one place, which Velero adds at a backup's end", () =>
    Effect.gen(function* () {
      const pod = (uid: string) => item(JSON.stringify({ kind: "Pod", metadata: { name: "a", uid } }))
      const bytes = yield* Effect.promise(() => Tarballs.tar([Tarballs.version, pod("1"), pod("2")]))
      const { entries } = yield* read(bytes)
      assert.deepStrictEqual(
        entries.map(({ text }) => JSON.parse(text).metadata.uid),
        ["2"]
      )
    })
  )

  it.live("may have long names and come from another tar", () =>
    Effect.gen(function* () {
      const name = "n".repeat(253)
      const text = JSON.stringify({ kind: "Pod", metadata: { name } })
      const path = `./resources/pods/namespaces/${"s".repeat(63)}/${name}.json`
      const bytes = yield* Effect.promise(() =>
        Tarballs.tar([
          ["./metadata/version", "1.1.0"],
          [path, text]
        ])
      )
      const { entries } = yield* read(bytes)
      assert.deepStrictEqual(entries, [{ resource: "pods", kind: "Pod", namespace: "s".repeat(63), name, text }])
    })
  )

  it.live("is damaged wherever it is cut off", () =>
    Effect.gen(function* () {
      const bytes = yield* Effect.promise(() => Tarballs.backup(items))
      for (const part of [20, 0.1, 0.5, 0.9]) {
        const end = part > 1 ? part : Math.floor(bytes.length * part)
        assert.match(
          yield* message(bytes.subarray(0, end)),
          /^backup\.tar\.gz: is damaged or cut off \(gzip: .+\)\. Download it again: velero backup download NAME$/,
          String(part)
        )
      }
      assert.match(yield* message(bytes.subarray(0, -1)), /damaged or cut off/)
    })
  )

  it.live("is damaged where bytes have changed", () =>
    Effect.gen(function* () {
      const bytes = yield* Effect.promise(() => Tarballs.backup(items))
      for (const at of [0.2, 0.5, 0.8]) {
        const changed = Buffer.from(bytes)
        changed.fill(0x55, Math.floor(bytes.length * at), Math.floor(bytes.length * at) + 40)
        assert.match(yield* message(changed), /is damaged.*Download it again/s)
      }
    })
  )

  it.live.each([
    { name: "text", text: "not JSON" },
    { name: "null", text: "null" },
    { name: "an array", text: "[]" },
    { name: "no kind", text: `{"metadata":{"name":"a"}}` },
    { name: "no name", text: `{"kind":"Pod","metadata":null}` }
  ])("is damaged where an item is no object: $name", ({ text }) =>
    Effect.gen(function* () {
      const bytes = yield* Effect.promise(() => Tarballs.tar([Tarballs.version, item(text)]))
      assert.strictEqual(
        yield* message(bytes),
        "backup.tar.gz: is damaged: resources/pods/namespaces/shop/a.json is not a Kubernetes object. Download it again: velero backup download NAME"
      )
    })
  )
})

describe("what is no backup's tarball is refused with what to do:", () => {
  it.live("another tarball", () =>
    Effect.gen(function* () {
      const bytes = yield* Effect.promise(() => Tarballs.tar([["src/main.ts", "1"]]))
      assert.strictEqual(
        yield* message(bytes),
        "backup.tar.gz: is a tarball, but not of a Velero backup: it has no metadata/version. Name what velero backup download NAME wrote, which is NAME-data.tar.gz, or manifests"
      )
    })
  )

  it.live.each([
    { name: "a log", text: "time=2026-11-19T09:30:00Z level=info\n".repeat(200) },
    { name: "short results", text: `{"errors":{}}` }
  ])("$name", ({ text }) =>
    Effect.gen(function* () {
      const gzip = yield* Effect.promise(async () => (await import("node:zlib")).gzipSync(text))
      assert.match(yield* message(gzip), /is compressed by gzip, but is no tarball: perhaps the log or the results/)
    })
  )

  it.live("a format of the future", () =>
    Effect.gen(function* () {
      const bytes = yield* Effect.promise(() => Tarballs.tar([["metadata/version", "2.0.0\n"]]))
      assert.match(yield* message(bytes), /format 2\.0\.0, .*newer version of this executable/)
    })
  )
})
