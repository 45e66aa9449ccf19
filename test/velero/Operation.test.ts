import { assert, describe, it } from "@effect/vitest"
import { InvalidOperation } from "../../src/velero/Operation.ts"

describe("InvalidOperation", () => {
  it("has the words that Velero's documentation asks for", () => {
    assert.strictEqual(new InvalidOperation({ operationId: "x/1" }).message, "operation ID x/1 is invalid")
  })
})
