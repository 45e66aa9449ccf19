import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { action, operationId, operationOf } from "../../src/example/AsyncBackupAction.ts"
import * as Actions from "../../src/testing/Actions.ts"
import type { Backup } from "../../src/velero/Backup.ts"
import * as JsonText from "../../src/testing/JsonText.ts"
import { backUp, nightly, odd, plugin } from "./World.ts"

const started = DateTime.makeUnsafe("2026-11-19T02:00:03Z")
const id = "2026-11-19T02:00:03.000Z+30s shop/one"
const item = odd("ConfigMap", `,"annotations":{"backup.example.com/operation-seconds":"30"}`)
const inPhase = (phase: string): Backup => ({ ...nightly, status: { phase } })

const itIsThen = TestClock.setTime(DateTime.toEpochMillis(started))

/** Asks as a new process of Velero's would: with the id and the Backup, and nothing else. */
const progress = (operation: string) =>
  Effect.suspend(() => {
    assert.isDefined(action.operations)
    return action.operations?.progress({ plugin, operationId: operation, backup: nightly }) ?? Effect.die("none")
  })
const cancel = (operation: string) =>
  Actions.run(action.operations?.cancel({ plugin, operationId: operation, backup: nightly }) ?? Effect.die("none"))

describe("a ConfigMap with an operation", () => {
  it.effect("is stored as it is, with an operation that starts now, and is to be stored once more after it", () =>
    Effect.gen(function* () {
      yield* itIsThen
      const { isUntouched, lines, operationId: operation, postOperationItems } = yield* backUp(action, item)
      assert.isTrue(isUntouched)
      assert.strictEqual(operation, id)
      assert.deepStrictEqual(postOperationItems, [
        { group: "", resource: "configmaps", namespace: "shop", name: "one" }
      ])
      assert.deepStrictEqual(lines, [["info", "Operation of 30 seconds started"]])
    })
  )

  it.effect.each(["Finalizing", "FinalizingPartiallyFailed"])(
    "is stored with the outcome while its Backup is %s, when no operation may start",
    (phase) =>
      Effect.gen(function* () {
        const outcome = yield* backUp(action, item, { backup: inPhase(phase) })
        assert.isUndefined(outcome.operationId)
        assert.deepStrictEqual(outcome.postOperationItems, [])
        assert.strictEqual(outcome.text, item.replace(`:"30"`, `:"30","backup.example.com/operation":"finished"`))
        assert.deepStrictEqual(outcome.lines, [["info", "Operation recorded"]])
      })
  )

  it.effect.each(["0", "-1", "1.5", "86401", "30s", "", "Infinity"])(
    "is an error where its length is %j, and starts none",
    (seconds) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(backUp(action, item.replace(`"30"`, JSON.stringify(seconds))))
        assert.strictEqual(error._tag, "UnreadableItem")
        assert.include(error.message, `"backup.example.com/operation-seconds"`)
      })
  )
})

describe("a ConfigMap without an operation", () => {
  it.effect.each([
    ["", "InProgress"],
    [`,"annotations":null`, "InProgress"],
    [`,"annotations":{"backup.example.com/processed":"true"}`, "InProgress"],
    [`,"annotations":{}`, "Finalizing"]
  ] as const)("is stored as it is, silently: %s, %s", ([metadata, phase]) =>
    Effect.gen(function* () {
      const outcome = yield* backUp(action, odd("ConfigMap", metadata), { backup: inPhase(phase) })
      assert.isTrue(outcome.isUntouched)
      assert.isUndefined(outcome.operationId)
      assert.deepStrictEqual([outcome.postOperationItems, outcome.lines], [[], []])
    })
  )
})

describe("an operation", () => {
  it.effect("is followed by its id alone, every ten seconds, until it is over", () =>
    Effect.gen(function* () {
      yield* itIsThen
      const { operationId: operation = "" } = yield* backUp(action, item)
      const seen: Array<readonly [done: bigint | undefined, completed: boolean]> = []
      for (let asked = 0; asked < 5; asked++) {
        const { completed, done, error, ...rest } = yield* progress(operation)
        seen.push([done, completed])
        assert.isUndefined(error)
        assert.deepInclude(rest, { total: 30n, units: "seconds", description: "Waiting for shop/one" })
        assert.deepStrictEqual(rest.started, started)
        assert.deepStrictEqual(rest.updated, yield* DateTime.now)
        yield* TestClock.adjust("10 seconds")
      }
      assert.deepStrictEqual(seen, [
        [0n, false],
        [10n, false],
        [20n, false],
        [30n, true],
        [30n, true]
      ])
    })
  )

  it.effect("is not over a moment too early, and has not begun where a clock is late", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(DateTime.toEpochMillis(started) + 29_999)
      assert.deepInclude(yield* progress(id), { completed: false, done: 29n })
      yield* TestClock.setTime(DateTime.toEpochMillis(started) - 60_000)
      assert.deepInclude(yield* progress(id), { completed: false, done: 0n })
    })
  )

  it.effect("is given up with a line in the log", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* cancel(id)).lines, [["info", "Operation of shop/one cancelled"]])
    })
  )

  it.effect.each([
    "",
    "shop/one",
    "2026-11-19T02:00:03.000Z+30s ",
    "yesterday+30s shop/one",
    "2026-11-19T02:00:03.000Z+-30s shop/one",
    `2026-11-19T02:00:03.000Z+${"9".repeat(400)}s shop/one`
  ])("is invalid with the id %j, in Velero's words", (operation) =>
    Effect.gen(function* () {
      for (const ask of [Effect.asVoid(progress(operation)), Effect.asVoid(cancel(operation))]) {
        const error = yield* Effect.flip(ask)
        assert.strictEqual(error._tag, "InvalidOperation")
        assert.strictEqual(error.message, `operation ID ${operation} is invalid`)
      }
    })
  )

  const below = (bound: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: bound - 1 }))
  const anyOperation = Schema.Struct({
    item: Schema.String.check(Schema.isMinLength(1)),
    day: below(40_000),
    millisecond: below(86_400_000),
    seconds: below(86_400)
  })
  it.effect.prop(
    "is all in its id",
    { drawn: anyOperation },
    ({ drawn }) =>
      Effect.gen(function* () {
        const start = drawn.day * 86_400_000 + drawn.millisecond
        const operation = { item: drawn.item, seconds: drawn.seconds + 1, started: DateTime.makeUnsafe(start) }
        const of = operationId(operation)
        assert.deepStrictEqual(yield* operationOf(of), operation)
        const end = start + operation.seconds * 1000
        yield* TestClock.setTime(end - 1)
        assert.isFalse((yield* progress(of)).completed)
        yield* TestClock.setTime(end)
        assert.isTrue((yield* progress(of)).completed)
      }),
    { arbitrary: { runs: 100, size: 100 } }
  )
})

describe("fields that it does not own", () => {
  it.effect.prop(
    "come back byte for byte",
    { drawn: JsonText.documents({ duplicates: true }) },
    ({ drawn: { document } }) =>
      Effect.gen(function* () {
        const value = JsonText.print(document.root)
        const of = (outcome: string) =>
          odd(
            "ConfigMap",
            `,"x":${value},"annotations": {"backup.example.com/operation-seconds":"5"${outcome} } `,
            `,"data":${value}`
          )
        const finalizing = yield* backUp(action, of(""), { backup: inPhase("Finalizing") })
        assert.strictEqual(finalizing.text, of(`,"backup.example.com/operation":"finished"`))
        assert.isTrue((yield* backUp(action, of(""))).isUntouched)
      }),
    { arbitrary: { runs: 100, size: 250 } }
  )
})

describe("the selector", () => {
  it("asks for ConfigMaps", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["configmaps"] })
  })
})
