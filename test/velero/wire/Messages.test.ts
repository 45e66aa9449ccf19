import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { ResourceIdentifier } from "../../../src/generated/velero/shared.ts"
import type { Backup } from "../../../src/velero/Backup.ts"
import type { Progress } from "../../../src/velero/Operation.ts"
import type { Restore } from "../../../src/velero/Restore.ts"
import * as Messages from "../../../src/velero/wire/Messages.ts"
import * as Fixtures from "../Fixtures.ts"

describe("selectorMessage", () => {
  it("is empty for a selector of everything", () => {
    assert.deepStrictEqual(Messages.selectorMessage({}), {
      includedNamespaces: [],
      excludedNamespaces: [],
      includedResources: [],
      excludedResources: [],
      selector: ""
    })
  })

  it("has every part of a selector", () => {
    const parts = {
      includedNamespaces: ["a"],
      excludedNamespaces: ["b"],
      includedResources: ["c"],
      excludedResources: ["d"]
    }
    assert.deepStrictEqual(Messages.selectorMessage({ ...parts, labelSelector: "e=f" }), { ...parts, selector: "e=f" })
  })
})

describe("identifierMessages", () => {
  it("has all identifiers in order, and none where there are none", () => {
    const identifiers = [
      { group: "postgresql.cnpg.io", resource: "clusters", namespace: "shop", name: "orders" },
      { group: "", resource: "namespaces", namespace: "", name: "shop" }
    ]
    const messages = Messages.identifierMessages(identifiers)
    assert.deepStrictEqual(
      messages.map((message) => ResourceIdentifier.decode(ResourceIdentifier.encode(message).finish())),
      identifiers
    )
    assert.deepStrictEqual(Messages.identifierMessages(undefined), [])
  })
})

describe("progressMessage", () => {
  const nothing = {
    completed: false,
    err: "",
    nCompleted: 0n,
    nTotal: 0n,
    operationUnits: "",
    description: "",
    started: { seconds: 0n, nanos: 0 },
    updated: { seconds: 0n, nanos: 0 }
  }
  const at = (millis: number) => DateTime.makeUnsafe(millis)

  it.each<readonly [name: string, progress: Progress, message: object]>([
    ["nothing", { completed: false }, {}],
    ["a failure", { completed: true, error: "no space" }, { completed: true, err: "no space" }],
    [
      "int64s and words",
      { completed: false, done: 2n ** 53n + 1n, total: 2n ** 62n, units: "bytes", description: "copying" },
      { nCompleted: 2n ** 53n + 1n, nTotal: 2n ** 62n, operationUnits: "bytes", description: "copying" }
    ],
    [
      "when it started",
      { completed: false, started: at(1_700_000_000_123) },
      { started: { seconds: 1_700_000_000n, nanos: 123_000_000 } }
    ],
    ["when it changed", { completed: false, updated: at(999) }, { updated: { seconds: 0n, nanos: 999_000_000 } }],
    // Before 1970 nanoseconds still count forward.
    ["times before 1970", { completed: false, updated: at(-1) }, { updated: { seconds: -1n, nanos: 999_000_000 } }],
    ["a second before 1970", { completed: false, updated: at(-2000) }, { updated: { seconds: -2n, nanos: 0 } }]
  ])("tells %s", (_, progress, message) =>
    assert.deepStrictEqual(Messages.progressMessage(progress), { ...nothing, ...message })
  )
})

type Decode = (bytes: Uint8Array) => Effect.Effect<Backup | Restore, Messages.MalformedOwner>

describe.each<readonly [kind: string, decode: Decode]>([
  ["Backup", Messages.decodeBackup],
  ["Restore", Messages.decodeRestore]
])("decode%s", (kind, decode) => {
  const bytes = (name: string) => Fixtures.jsonBytes({ metadata: { name, namespace: null }, spec: null, extra: [1] })

  it.effect("reads what Go writes", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* decode(bytes("a")), { metadata: { name: "a", namespace: null }, spec: null })
    })
  )

  it.effect("reads the same bytes once, and others anew", () =>
    Effect.gen(function* () {
      const first = yield* decode(bytes("a"))
      assert.strictEqual(yield* decode(bytes("a")), first)
      assert.strictEqual((yield* decode(bytes("b"))).metadata?.name, "b")
      assert.strictEqual((yield* decode(bytes("a"))).metadata?.name, "a")
    })
  )

  it.effect("does not take a buffer for the same that was written over", () =>
    Effect.gen(function* () {
      const buffer = bytes("before")
      yield* decode(buffer)
      buffer.set(bytes("behind"))
      assert.strictEqual((yield* decode(buffer)).metadata?.name, "behind")
    })
  )

  it.effect.each<readonly [text: string, detail: string]>([
    ["", "the item is not a Kubernetes object in JSON: it is empty"],
    ["[]", "the item is not a Kubernetes object in JSON: the JSON is no object"],
    ['{"metadata":{"name":5}}', `Expected string | null at ["metadata"]["name"]`]
  ])("refuses %j, each time", ([text, detail]) =>
    Effect.gen(function* () {
      for (let times = 0; times < 2; times++) {
        const error = yield* Effect.flip(decode(Fixtures.bytesOf(text)))
        assert.strictEqual(error.message, `the Velero ${kind} that came with the call cannot be read: ${detail}`)
      }
    })
  )
})
