import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { RecoveryOperation } from "../../src/cnpg/RecoveryOperation.ts"
import * as Operation from "../../src/cnpg/RecoveryOperation.ts"
import * as GoDuration from "../../src/cnpg/GoDuration.ts"

const seconds = (text: string) => Option.map(GoDuration.parse(text), Duration.toSeconds)

describe("the limit", () => {
  it.for([
    ["0", 0, "0"],
    ["0s", 0, "0"],
    ["90s", 90, "1m30s"],
    ["30m", 1800, "30m"],
    ["1h30m", 5400, "1h30m"],
    ["1h0m5s", 3605, "1h5s"],
    ["48h", 172_800, "48h"]
  ] as const)("%s is read as Go writes durations", ([text, expected, formatted]) => {
    assert.deepStrictEqual(seconds(text), Option.some(expected))
    assert.strictEqual(GoDuration.format(Duration.seconds(expected)), formatted)
    assert.deepStrictEqual(seconds(formatted), Option.some(expected))
  })

  it.for(["", " ", "30", "-1m", "1.5h", "30 m", "5m1h", "m", "forever", "30m ", "99999999999999h"])(
    "%j means nothing",
    (text) => {
      assert.deepStrictEqual(GoDuration.parse(text), Option.none())
    }
  )
})

describe("an operation", () => {
  const operation: RecoveryOperation = {
    from: "object-store",
    namespace: "shop-2",
    cluster: "orders",
    destination: "orders-20261119-093000",
    started: DateTime.makeUnsafe("2026-11-19T09:30:00.123Z"),
    limit: Duration.minutes(30)
  }

  it("is said by its id, in words for people", () => {
    assert.strictEqual(
      Operation.id(operation),
      "recover shop-2/orders as orders-20261119-093000 since 2026-11-19T09:30:00.123Z within 30m"
    )
  })

  it.effect.each([
    operation,
    { ...operation, from: "volumes" as const },
    { ...operation, limit: Duration.seconds(3601) }
  ])("is all there again: $from, $limit", (given) =>
    Effect.gen(function* () {
      const { limit, started, ...rest } = yield* Operation.ofId(Operation.id(given))
      const { limit: givenLimit, started: givenStart, ...others } = given
      assert.deepStrictEqual<object>(rest, others)
      assert.strictEqual(DateTime.formatIso(started), DateTime.formatIso(givenStart))
      assert.strictEqual(Duration.toMillis(limit), Duration.toMillis(givenLimit))
    })
  )

  it.effect.each([
    "",
    "copy-1",
    "recover shop-2/orders as x since yesterday within 30m",
    "recover shop-2/orders as x since 2026-11-19T09:30:00Z within 30",
    "recover shop-2 as x since 2026-11-19T09:30:00Z within 30m",
    "remove shop-2/orders as x since 2026-11-19T09:30:00Z within 30m"
  ])("is none of %j, in the words that Velero's documentation asks for", (id) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Operation.ofId(id))
      assert.strictEqual(error.message, `operation ID ${id} is invalid`)
    })
  )
})
