import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as ByteRange from "../../src/filesystem/ByteRange.ts"

const range = (start: number, end: number): ByteRange.Part => ({ _tag: "Range", start, end })
const whole: ByteRange.Part = { _tag: "Whole" }
const unsatisfiable: ByteRange.Part = { _tag: "Unsatisfiable" }

describe("a range header", () => {
  it.each<readonly [string | undefined, number, ByteRange.Part]>([
    [undefined, 10, whole],
    ["", 10, whole],
    ["bytes=0-0", 10, range(0, 1)],
    ["bytes=0-9", 10, range(0, 10)],
    ["bytes=3-5", 10, range(3, 6)],
    ["bytes=3-", 10, range(3, 10)],
    ["bytes=3-100", 10, range(3, 10)],
    ["bytes=-3", 10, range(7, 10)],
    ["bytes=-100", 10, range(0, 10)],
    ["bytes= 3-5 ", 10, range(3, 6)],
    // RFC 9110: nothing of it is there.
    ["bytes=10-", 10, unsatisfiable],
    ["bytes=10-20", 10, unsatisfiable],
    ["bytes=-0", 10, unsatisfiable],
    ["bytes=0-", 0, unsatisfiable],
    ["bytes=-1", 0, unsatisfiable],
    // RFC 9110: what is no range, or another one, counts as if it were not there.
    ["bytes=5-3", 10, whole],
    ["bytes=-", 10, whole],
    ["bytes=a-b", 10, whole],
    ["bytes=1-2,4-5", 10, whole],
    ["lines=1-2", 10, whole],
    ["bytes=1.5-2", 10, whole]
  ])("%s of %i bytes", (header, size, expected) => assert.deepStrictEqual(ByteRange.parse(header, size), expected))

  const small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 }))

  it.effect.prop("never leads out of the object", { first: small, last: small, size: small }, ({ first, last, size }) =>
    Effect.sync(() => {
      for (const header of [`bytes=${first}-${last}`, `bytes=${first}-`, `bytes=-${last}`]) {
        const part = ByteRange.parse(header, size)
        if (part._tag === "Range") assert.isTrue(0 <= part.start && part.start < part.end && part.end <= size)
      }
    })
  )
})
