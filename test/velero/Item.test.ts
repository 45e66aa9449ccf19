import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Item from "../../src/velero/Item.ts"
import type { JsonObject } from "../../src/velero/Json.ts"
import * as Json from "../../src/velero/Json.ts"
import * as JsonText from "../../src/testing/JsonText.ts"

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder("utf-8", { fatal: true }).decode(bytes)
const parse = (text: string): Item.Item => Result.getOrThrow(Item.parse(bytesOf(text)))

describe("parse", () => {
  it.each<readonly [name: string, bytes: Uint8Array, detail: string]>([
    ["nothing", bytesOf(""), "it is empty"],
    ["space", bytesOf(" \n"), "invalid JSON"],
    ["half an object", bytesOf('{"password":"s3cret"'), "invalid JSON"],
    ["two objects", bytesOf('{"password":"s3cret"}{}'), "invalid JSON"],
    ["a trailing comma", bytesOf('{"password":"s3cret",}'), "invalid JSON"],
    ["a number with a leading zero", bytesOf('{"a":01}'), "invalid JSON"],
    ["NaN", bytesOf('{"a":NaN}'), "invalid JSON"],
    ["YAML", bytesOf("password: s3cret"), "invalid JSON"],
    ["a NUL behind the object", bytesOf('{"password":"s3cret"}\0'), "invalid JSON"],
    ["a NUL in a string", bytesOf('{"password":"s3cret\0"}'), "invalid JSON"],
    ["a byte order mark", bytesOf('\ufeff{"password":"s3cret"}'), "invalid JSON"],
    ["a no-break space", bytesOf("\u00a0{}"), "invalid JSON"],
    ["an array", bytesOf('["s3cret"]'), "the JSON is no object"],
    ["a string", bytesOf('"s3cret"'), "the JSON is no object"],
    ["a number", bytesOf("5"), "the JSON is no object"],
    ["null", bytesOf("null"), "the JSON is no object"]
  ])("refuses %s without quoting it", (_, bytes, detail) => {
    const parsed = Item.parse(bytes)
    assert(Result.isFailure(parsed))
    assert.strictEqual(parsed.failure._tag, "MalformedItem")
    assert.strictEqual(parsed.failure.message, `the item is not a Kubernetes object in JSON: ${detail}`)
  })

  it.each<readonly [name: string, bytes: ReadonlyArray<number>]>([
    ["a lone continuation byte", [0x80]],
    ["half a character", [0xe2, 0x82]],
    ["an overlong slash", [0xc0, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["UTF-16", [0xff, 0xfe]]
  ])("refuses %s, which is not UTF-8", (_, bytes) => {
    const parsed = Item.parse(Uint8Array.from([...bytesOf('{"a":"s3cret'), ...bytes, ...bytesOf('"}')]))
    assert(Result.isFailure(parsed))
    assert.notInclude(parsed.failure.message, "s3cret")
  })

  it("answers for nesting that no parser takes", () => {
    for (const text of [`${'{"a":'.repeat(200_000)}1${"}".repeat(200_000)}`, '{"a":'.repeat(200_000)]) {
      // Either is fine, an exception is not.
      assert.isTrue(Result.isResult(Item.parse(bytesOf(text))))
    }
  })

  it.effect.prop(
    "keeps the bytes of any object",
    { drawn: JsonText.documents({ duplicates: true }) },
    ({ drawn: { document } }) =>
      Effect.sync(() => {
        const bytes = bytesOf(document.text)
        const item = Result.getOrThrow(Item.parse(bytes))
        assert.strictEqual(item.bytes, bytes)
        assert.strictEqual(item.text, document.text)
        assert.deepStrictEqual(item.tree, JSON.parse(document.text) as JsonObject)
      }),
    { arbitrary: { runs: 100, size: 250 } }
  )
})

describe("patch", () => {
  it("gives the same item back where nothing changes", () => {
    const item = parse('{"a": 1.0}')
    assert.strictEqual(Item.patch(item, []), item)
    assert.strictEqual(Item.patch(item, [Json.set(["a"], 1), Json.remove(["b"])]), item)
    assert.strictEqual(Item.patch(item, [Json.set(["b"], 1), Json.remove(["b"])]), item)
  })

  it("keeps bytes, text and tree together, and the item that it came from", () => {
    const item = parse('{"a":9007199254740993,"größe":"\\u003c"}')
    const patched = Item.patch(item, [Json.set(["größe"], "😀")])
    assert.strictEqual(patched.text, '{"a":9007199254740993,"größe":"😀"}')
    assert.strictEqual(textOf(patched.bytes), patched.text)
    assert.deepStrictEqual(patched.tree, { a: 9007199254740992, größe: "😀" })
    assert.strictEqual(item.text, '{"a":9007199254740993,"größe":"\\u003c"}')
    assert.strictEqual(Item.patch(patched, [Json.set(["größe"], "<")]).text, '{"a":9007199254740993,"größe":"<"}')
  })

  it("throws where a path leads through a scalar", () => {
    assert.throws(() => Item.patch(parse('{"metadata":"x"}'), [Json.set(["metadata", "labels"], {})]), TypeError)
  })
})

describe("fromObject", () => {
  it("is the item that its JSON parses to", () => {
    const item = Item.fromObject({ kind: "Pod", metadata: { name: "größe" } })
    assert.deepStrictEqual(item, parse(textOf(item.bytes)))
  })
})

describe("identity and describe", () => {
  it.each<readonly [object: JsonObject, identity: Item.Identity, text: string]>([
    [
      { apiVersion: "postgresql.cnpg.io/v1", kind: "Cluster", metadata: { namespace: "shop", name: "orders" } },
      { groupKind: "Cluster.postgresql.cnpg.io", namespace: "shop", name: "orders" },
      "Cluster.postgresql.cnpg.io shop/orders"
    ],
    [
      { apiVersion: "v1", kind: "Namespace", metadata: { name: "shop" } },
      { groupKind: "Namespace", namespace: "", name: "shop" },
      "Namespace shop"
    ],
    [{}, { groupKind: "", namespace: "", name: "" }, "item "],
    [{ apiVersion: 1, kind: null, metadata: "x" }, { groupKind: "", namespace: "", name: "" }, "item "],
    [{ kind: "Pod", metadata: { namespace: 7, name: ["x"] } }, { groupKind: "Pod", namespace: "", name: "" }, "Pod "],
    [{ kind: "Pod", metadata: null }, { groupKind: "Pod", namespace: "", name: "" }, "Pod "]
  ])("of %j", (object, identity, text) => {
    const found = Item.identity(Item.fromObject(object))
    assert.deepStrictEqual(found, identity)
    assert.strictEqual(Item.describe(found), text)
  })
})
