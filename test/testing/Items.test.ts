import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Items from "../../src/testing/Items.ts"
import * as Json from "../../src/velero/Json.ts"

/** Names that the generator itself gives to other fields. */
const fields = {
  kind: "Pod",
  a: [1, { b: null }],
  metadata: { name: "web", a: { b: "c" }, annotations: { "example.com/a": "b" } },
  spec: { a: 1, "": { "0": [] } }
}

/** The fields of `wanted` that `found` has too. */
const common = (found: unknown, wanted: unknown): unknown =>
  typeof wanted === "object" && wanted !== null && !Array.isArray(wanted)
    ? Object.fromEntries(
        Object.entries(wanted).map(([key, value]) => [key, common((found as Record<string, unknown>)[key], value)])
      )
    : found

describe("texts", () => {
  it.effect("have the fields that were asked for, and others beside them", () =>
    Effect.gen(function* () {
      const seen = new Set<string>()
      for (const text of yield* Arbitrary.sampleEffect(Items.texts(fields), { count: 200, seed: 1 })) {
        assert.deepStrictEqual(common(JSON.parse(text), fields), fields)
        const { metadata } = JSON.parse(text) as { readonly metadata: object }
        for (const key of Object.keys(metadata)) seen.add(key)
      }
      for (const key of ["0", "b", "ключ", "__proto__"]) assert.isTrue(seen.has(key), key)
    })
  )
})

describe("outside", () => {
  const text = `{"metadata":{"name":"web","annotations":{"x":"1","y":"2"}},"spec":{"n":1.0,"list":[{"a":1},{"a":2}]}}`

  it.each<readonly [string, Json.Patch, isOwned: boolean]>([
    ["what is owned", Json.set(["metadata", "annotations", "x"], "3"), true],
    ["what is below it", Json.set(["metadata", "annotations", "x"], { z: 1 }), true],
    ["its neighbour", Json.set(["metadata", "annotations", "y"], "3"), false],
    ["a new neighbour", Json.set(["metadata", "annotations", "z"], "3"), false],
    ["an element", Json.remove(["spec", "list", 0]), false]
  ])("tells where %s changed", (_, patch, isOwned) => {
    const owned = [["metadata", "annotations", "x"]]
    const before = JSON.stringify(Items.outside(text, owned))
    assert.strictEqual(JSON.stringify(Items.outside(Json.patch(text, [patch]), owned)) === before, isOwned)
  })

  it("tells where a value is only spelled anew", () => {
    assert.notDeepEqual(Items.outside(text.replace("1.0", "1"), []), Items.outside(text, []))
  })
})
