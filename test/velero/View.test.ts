import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as View from "../../src/velero/View.ts"

describe("optional", () => {
  const decode = Schema.decodeUnknownResult(Schema.Struct({ field: View.optional(Schema.Struct({ a: Schema.Int })) }))

  it.each([{}, { field: null }, { field: { a: 1 } }])("takes %j as it is", (value) =>
    assert.deepStrictEqual(Result.getOrThrow(decode(value)), value)
  )

  it.each([{ field: {} }, { field: "x" }, { field: { a: null } }])("refuses %j", (value) =>
    assert.isTrue(Result.isFailure(decode(value)))
  )
})

describe("Metadata", () => {
  const decode = Schema.decodeUnknownResult(View.Metadata)
  const owner = { apiVersion: "v1", kind: "Pod", name: "p", uid: "u" }

  it.each<readonly [metadata: object, isValid: boolean]>([
    [{ name: "n" }, true],
    [{ name: "n", namespace: null, uid: null, labels: null, annotations: null, ownerReferences: null }, true],
    [{ name: "n", labels: { a: "b" }, ownerReferences: [owner, { ...owner, controller: null }] }, true],
    [{}, false],
    [{ name: null }, false],
    [{ name: "n", labels: { a: 1 } }, false],
    [{ name: "n", ownerReferences: [{ kind: "Pod" }] }, false]
  ])("of %j is valid: %s", (metadata, isValid) => assert.strictEqual(Result.isSuccess(decode(metadata)), isValid))

  it("leaves out what it does not name", () => {
    assert.deepStrictEqual(Result.getOrThrow(decode({ name: "n", managedFields: [{}] })), { name: "n" })
  })
})
