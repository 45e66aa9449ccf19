import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/example/CustomDeleteAction.ts"
import { odd, remove } from "./World.ts"

describe("an item of a backup that is being deleted", () => {
  it.effect("is named in the log where the backup action processed it", () =>
    Effect.gen(function* () {
      const item = odd("Secret", `,"annotations":{"backup.example.com/processed":"true"}`)
      assert.deepStrictEqual(yield* remove(action, item), [
        ["info", "Executing custom delete action"],
        ["info", "Backup velero/nightly no longer holds one"]
      ])
    })
  )

  it.effect.each([[""], [`,"annotations":null`], [`,"annotations":{"backup.example.com/processed":"no"}`]])(
    "is passed over in silence where it did not: %s",
    ([metadata = ""]) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* remove(action, odd("ConfigMap", metadata)), [])
      })
  )

  it.effect("is an error where it cannot be read", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(remove(action, "{}")))._tag, "UnreadableItem")
    })
  )
})

describe("the selector", () => {
  it("asks for what the backup action is called for", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["configmaps", "secrets"] })
  })
})
