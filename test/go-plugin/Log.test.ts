import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as LogLevel from "effect/LogLevel"
import * as Schema from "effect/Schema"
import * as Log from "../../src/go-plugin/Log.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly message: string }> {}

const entry: Log.Entry = { level: "info", message: "m", fields: {} }
const read = (line: string) => JSON.parse(line) as Record<string, string>
const format = (change: Partial<Log.Entry>) => read(Log.formatEntry({ ...entry, ...change }))

const cyclic: Record<string, unknown> = { name: "loop" }
cyclic["self"] = cyclic

describe("formatEntry", () => {
  it("is one line of JSON with go-plugin's keys", () => {
    assert.strictEqual(
      Log.formatEntry({ level: "warn", message: "slow", fields: { backup: "velero/b" }, error: "timeout" }),
      '{"backup":"velero/b","error":"timeout","@logSourceSetBy":"plugin","@level":"warn","@message":"slow"}\n'
    )
  })

  it.each<readonly [value: unknown, text: string]>([
    ["text", "text"],
    ["", ""],
    [5, "5"],
    [12n, "12"],
    [true, "true"],
    [null, "null"],
    [undefined, "undefined"],
    [Symbol("s"), "Symbol(s)"],
    [["a", 1], '["a",1]'],
    [{ a: { b: null } }, '{"a":{"b":null}}'],
    [new Refused({ message: "no" }), "no"],
    [{ size: 12n }, '{"size":"12n"}'],
    [cyclic, '{"name":"loop"}'],
    [{ toJSON: () => undefined }, "null"],
    [Object.create(null), "{}"]
  ])("makes a string of the field %o", (value, text) => {
    for (const key of ["resource", "namespace", "name", "__proto__", "1"]) {
      assert.strictEqual(Object.entries(format({ fields: { [key]: value } })).find(([name]) => name === key)?.[1], text)
    }
  })

  it("takes no key of the host's from fields", () => {
    const fields = { "@message": 1, "@level": "fatal", "@timestamp": "now", "@logSourceSetBy": {}, "@module": "x" }
    assert.deepStrictEqual(format({ fields }), { "@level": "info", "@message": "m", "@logSourceSetBy": "plugin" })
  })

  it.each<readonly [name: string, change: Partial<Log.Entry>, cut: string]>([
    ["message", { message: "x".repeat(70_000) }, "@message"],
    ["message of three-byte characters", { message: "€".repeat(70_000) }, "@message"],
    ["message of control characters", { message: "\u0001".repeat(70_000) }, "@message"],
    ["message of quotes", { message: '"'.repeat(70_000) }, "@message"],
    ["field", { fields: { value: "x".repeat(70_000) } }, "value"],
    ["error", { error: "x\n".repeat(70_000) }, "error"]
  ])("cuts a long %s to one line that the host reads, and keeps the rest", (_, change, cut) => {
    const line = Log.formatEntry({ ...entry, ...change })
    assert.isAtMost(Buffer.byteLength(line), Log.maximumLineBytes)
    assert.strictEqual(line.indexOf("\n"), line.length - 1)
    assert.strictEqual(read(line)["@level"], "info")
    if (cut !== "@message") assert.strictEqual(read(line)["@message"], "m")
    const text = change.message ?? change.error ?? String(change.fields?.["value"])
    assert.isTrue(read(line)[cut]?.startsWith(text.slice(0, 1000)))
    assert.isTrue(read(line)[cut]?.endsWith(" … [cut]"))
  })

  it("leaves a line alone that the host just reads", () => {
    const room = Log.maximumLineBytes - Log.formatEntry({ ...entry, message: "" }).length
    const line = Log.formatEntry({ ...entry, message: "x".repeat(room) })
    assert.strictEqual(Buffer.byteLength(line), Log.maximumLineBytes)
    assert.notInclude(line, "[cut]")
    assert.include(Log.formatEntry({ ...entry, message: "x".repeat(room + 1) }), "[cut]")
  })

  it.each<readonly [name: string, keys: ReadonlyArray<string>]>([
    ["thousands of fields", Array.from({ length: 5000 }, (_, index) => `field number ${index}`)],
    ["a key without end", ["k".repeat(70_000)]]
  ])("keeps the message of a line with %s", (_, keys) => {
    const fields = Object.fromEntries(keys.map((key) => [key, "value"]))
    const line = Log.formatEntry({ ...entry, message: "what happened", fields })
    assert.isAtMost(Buffer.byteLength(line), Log.maximumLineBytes)
    assert.strictEqual(read(line)["@message"], "what happened")
  })

  const texts = Arbitrary.map(
    Arbitrary.all({
      text: Arbitrary.schema(Schema.String),
      special: Arbitrary.schema(Schema.Literals(["", "\n", "\r", "\u0000", "€", "😀", "\ud83d", "\\", '"', "\u2028"])),
      times: Arbitrary.schema(Schema.Literals([0, 1, 10, 3_000, 30_000]))
    }),
    ({ special, text, times }) => text + special.repeat(times) + text
  )
  it.effect.prop(
    "is one line of strings within the host's limit, whatever it holds",
    {
      message: texts,
      fields: Arbitrary.array(Arbitrary.all({ key: texts, value: Arbitrary.schema(Schema.Json), text: texts })),
      error: texts
    },
    ({ error, fields, message }) =>
      Effect.sync(() => {
        const line = Log.formatEntry({
          level: "error",
          message,
          fields: Object.fromEntries(
            fields.flatMap(({ key, text, value }) => [
              [key, value],
              [`${key}2`, text]
            ])
          ),
          error
        })
        assert.isAtMost(Buffer.byteLength(line), Log.maximumLineBytes)
        assert.strictEqual(line.indexOf("\n"), line.length - 1)
        const parsed = read(line)
        assert.isTrue(Object.values(parsed).every((value) => typeof value === "string"))
        assert.strictEqual(parsed["@level"], "error")
        if (Buffer.byteLength(message) < 1000) assert.strictEqual(parsed["@message"], message)
      }),
    { arbitrary: { runs: 200, size: 20 } }
  )
})

describe("layer", () => {
  /** The lines that a program logs. */
  const linesOf = (program: Effect.Effect<unknown>, level: LogLevel.LogLevel = "All") =>
    Effect.suspend(() => {
      const lines: Array<Record<string, string>> = []
      return program.pipe(
        Effect.provide(Log.layer({ write: (line) => lines.push(read(line)), level })),
        Effect.as(lines)
      )
    })
  const lineOf = (program: Effect.Effect<unknown>) => Effect.map(linesOf(program), ([line]) => line ?? {})

  it.effect.each<readonly [level: LogLevel.Severity, host: string]>([
    ["Trace", "trace"],
    ["Debug", "debug"],
    ["Info", "info"],
    ["Warn", "warn"],
    ["Error", "error"],
    ["Fatal", "error"]
  ])("names levels as the host does: %j", ([level, host]) =>
    Effect.gen(function* () {
      const line = yield* lineOf(Effect.logWithLevel(level)("m"))
      assert.deepStrictEqual(line, { "@level": host, "@message": "m", "@logSourceSetBy": "plugin" })
    })
  )

  it.effect("writes nothing below its level", () =>
    Effect.gen(function* () {
      const program = Effect.all([
        Effect.logDebug("d"),
        Effect.logInfo("i"),
        Effect.logWarning("w"),
        Effect.logError("e")
      ])
      const lines = yield* linesOf(program, "Warn")
      assert.deepStrictEqual(
        lines.map((line) => line["@message"]),
        ["w", "e"]
      )
    })
  )

  it.effect("joins the parts of a message, and makes fields of objects and annotations", () =>
    Effect.gen(function* () {
      const line = yield* lineOf(
        Effect.annotateLogs(Effect.logInfo("took", 5, "s", { size: 3 }, { size: 4, of: ["a"] }), {
          backup: "b",
          size: 1
        })
      )
      assert.deepStrictEqual(line, {
        "@level": "info",
        "@message": "took 5 s",
        "@logSourceSetBy": "plugin",
        backup: "b",
        size: "4",
        of: '["a"]'
      })
    })
  )

  it.effect("writes a cause as the error", () =>
    Effect.gen(function* () {
      const line = yield* lineOf(Effect.logError("failed", Cause.die(new Error("oops"))))
      assert.strictEqual(line["@message"], "failed")
      assert.match(line["error"] ?? "", /oops[^]*Log\.test\.ts/)
    })
  )

  it.effect("writes an error among the parts by its message", () =>
    Effect.gen(function* () {
      const line = yield* lineOf(Effect.logError("failed:", new Refused({ message: "no" })))
      assert.deepStrictEqual([line["@message"], line["error"]], ["failed: no", undefined])
    })
  )

  it.effect("never ends the program that logs", () =>
    Effect.gen(function* () {
      const line = yield* lineOf(Effect.logInfo("m", { cyclic, big: [1n], none: undefined, f: () => 1 }))
      assert.deepStrictEqual([line["cyclic"], line["big"], line["none"]], ['{"name":"loop"}', '["1n"]', "undefined"])
    })
  )
})
