import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action, transform } from "../../src/example/CustomBackupAction.ts"
import { info } from "../../src/velero/Action.ts"
import * as Json from "../../src/velero/Json.ts"
import * as JsonText from "../../src/testing/JsonText.ts"
import { backUp, nightly, odd } from "./World.ts"

const stamps = `"backup.example.com/processed":"true","backup.example.com/timestamp":"2026-11-19T02:00:00Z"`
const executing = ["info", "Executing custom backup action"] as const

describe("the decision", () => {
  const createdAt = "2026-11-19T02:00:00Z"

  it("marks an item, and says when its backup was made", () => {
    assert.deepStrictEqual(transform({ metadata: { name: "settings", annotations: {} } }, { createdAt }), {
      patches: [
        Json.set(["metadata", "annotations", "backup.example.com/processed"], "true"),
        Json.set(["metadata", "annotations", "backup.example.com/timestamp"], createdAt)
      ],
      notes: [info("Executing custom backup action")]
    })
  })

  it("leaves an item alone that is marked", () => {
    const annotations = { "backup.example.com/processed": "true" }
    assert.deepStrictEqual(transform({ metadata: { name: "settings", annotations } }, { createdAt }).patches, [])
  })
})

describe("a ConfigMap or a Secret", () => {
  it.effect.each([
    ["", `,"annotations":{${stamps}}`],
    [`,"annotations" : null`, `,"annotations" : {${stamps}}`],
    [`,"annotations":{ } ,"labels":{}`, `,"annotations":{ ${stamps}} ,"labels":{}`],
    [`,"annotations":{"a": "b"}`, `,"annotations":{"a": "b",${stamps}}`],
    [`,"annotations":{"backup.example.com/processed":"false"}`, `,"annotations":{${stamps}}`]
  ] as const)("is stored with two annotations: %s", ([before, after]) =>
    Effect.gen(function* () {
      const { isUntouched, lines, text } = yield* backUp(action, odd("Secret", before))
      assert.strictEqual(text, odd("Secret", after))
      assert.isFalse(isUntouched)
      assert.deepStrictEqual(lines, [executing])
    })
  )

  it.effect("is stored as it is where it was processed already, and the log says so", () =>
    Effect.gen(function* () {
      const first = yield* backUp(action, odd("ConfigMap"))
      const later = { metadata: { ...nightly.metadata, uid: "uid-2", creationTimestamp: "2026-11-20T02:00:00Z" } }
      const again = yield* backUp(action, first.text, { backup: later })
      assert.isTrue(again.isUntouched)
      assert.deepStrictEqual(again.lines, [executing, ["info", "Already processed, skipping"]])
    })
  )

  it.effect.each([[{}], [{ metadata: null }], [{ metadata: { creationTimestamp: null } }]] as const)(
    "has no timestamp where its Backup has none: %j",
    ([backup]) =>
      Effect.gen(function* () {
        const { text } = yield* backUp(action, odd("ConfigMap"), { backup })
        assert.strictEqual(text, odd("ConfigMap", `,"annotations":{"backup.example.com/processed":"true"}`))
      })
  )

  it.effect.each([
    ["{}", "UnreadableItem"],
    [`{"metadata":{"name":"one","annotations":{"a":1}}}`, "UnreadableItem"],
    ["[]", "MalformedItem"]
  ] as const)("is an error where it cannot be read: %s", ([item, tag]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(backUp(action, item)))._tag, tag)
    })
  )

  it.effect.prop(
    "keeps every other byte",
    { drawn: JsonText.documents({ duplicates: true }) },
    ({ drawn: { choices, document } }) =>
      Effect.gen(function* () {
        const value = JsonText.print(document.root)
        const annotations = choices.of(["", ` "a" : "b"`])
        const of = (members: string) =>
          odd("ConfigMap", `,"managedFields":${value},"annotations":{${members}}`, `,"data":${value}`)
        const expected = of(annotations === "" ? stamps : `${annotations},${stamps}`)
        const { text } = yield* backUp(action, of(annotations))
        assert.strictEqual(text, expected)
        assert.isTrue((yield* backUp(action, text)).isUntouched, "once more")
      }),
    { arbitrary: { runs: 100, size: 250 } }
  )
})

describe("the selector", () => {
  it("asks for ConfigMaps and Secrets", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["configmaps", "secrets"] })
  })
})
