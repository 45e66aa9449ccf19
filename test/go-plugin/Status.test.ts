import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Status as StatusMessage } from "../../src/generated/google-rpc/status.ts"
import * as Status from "../../src/go-plugin/Status.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

const refused = Cause.fail(new Refused({ message: "no such backup" }))
const defect = Cause.die(new Error("a secret of the cluster"))
const interrupt = Cause.interrupt(1)

/** Says which error the details were asked for. */
const details: Status.Details = (error) => [
  { typeUrl: "test", value: Buffer.from(error instanceof Error ? error.message : String(error)) }
]

describe("fromCause", () => {
  it.each<
    readonly [name: string, cause: Cause.Cause<Refused>, code: number, message: string, about: string | undefined]
  >([
    ["a failure", refused, 2, "no such backup", "no such backup"],
    ["a defect", defect, 10, Status.defectMessage, "a secret of the cluster"],
    ["a defect that is no error", Cause.die("oops"), 10, Status.defectMessage, "oops"],
    ["an interruption", interrupt, 1, "the call was cancelled", undefined],
    ["a failure and a defect", Cause.combine(defect, refused), 2, "no such backup", "no such backup"],
    ["a failure and an interruption", Cause.combine(interrupt, refused), 2, "no such backup", "no such backup"],
    [
      "a defect and an interruption",
      Cause.combine(interrupt, defect),
      10,
      Status.defectMessage,
      "a secret of the cluster"
    ],
    ["nothing", Cause.empty, 10, Status.defectMessage, undefined]
  ])("of %s", (_, cause, code, message, about) => {
    const status = Status.fromCause(cause, details)
    assert.deepStrictEqual([status.code, status.message], [code, message])
    const decoded = StatusMessage.decode(status.details)
    assert.deepStrictEqual([decoded.code, decoded.message], [code, message])
    if (about !== undefined)
      assert.deepStrictEqual(
        decoded.details.map(({ value }) => Buffer.from(value).toString()),
        [about]
      )
    if (code === Status.code.cancelled) assert.deepStrictEqual(decoded.details, [])
  })

  it.effect.prop(
    "says the same in the status and in its details, in valid and bounded text",
    { message: Schema.String },
    ({ message }) =>
      Effect.sync(() => {
        const long = message.repeat(100)
        const status = Status.fromCause(Cause.fail(new Refused({ message: long })), () => [])
        const decoded = StatusMessage.decode(status.details)
        assert.deepStrictEqual([decoded.code, decoded.message], [status.code, status.message])
        assert.isTrue(status.message.isWellFormed())
        assert.isAtMost(Buffer.byteLength(status.message), 4 * 1024 + 8)
        if (Buffer.byteLength(long) <= 4096) assert.strictEqual(status.message, long.toWellFormed())
      }),
    { arbitrary: { runs: 200, size: 60 } }
  )

  it("cuts a long message, and says so", () => {
    const { message } = Status.fromCause(Cause.fail(new Refused({ message: `${"x".repeat(4095)}ößtail` })), details)
    assert.isTrue(message.startsWith("x".repeat(4095)))
    assert.isTrue(message.endsWith(" …"))
    assert.notInclude(message, "tail")
  })

  it("leaves a message of 4 KiB alone", () => {
    const message = "x".repeat(4096)
    assert.strictEqual(Status.fromCause(Cause.fail(new Refused({ message })), details).message, message)
  })
})
