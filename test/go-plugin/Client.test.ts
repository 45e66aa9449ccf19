import { assert, describe, it } from "@effect/vitest"
import * as Client from "../../src/go-plugin/Client.ts"
import * as Log from "../../src/go-plugin/Log.ts"

// Starting and ending plugins is in test/executable, with real ones.
describe("parseLogLine", () => {
  it.each<readonly [line: string, read: Partial<Client.LogLine>]>([
    ['{"@level":"warn","@message":"m","a":"b"}', { level: "warn", message: "m", fields: { a: "b" } }],
    ["[INFO] started", { level: "info", message: "started" }],
    ["[ERROR]  no space", { level: "error", message: "no space" }],
    // go-plugin shows what it does not understand at debug.
    ["plain text", {}],
    ['{"@level":"fatal","@message":"m"}', {}],
    ['{"@level":"info","@message":5}', {}],
    ['{"@message":"m"}', {}],
    ["5", {}],
    ["null", {}],
    ['["a"]', {}],
    ["{", {}],
    ["", {}]
  ])("of %j", (line, read) =>
    assert.deepStrictEqual(Client.parseLogLine(line), { level: "debug", message: line, fields: {}, ...read })
  )

  it("reads what plugins write", () => {
    const entry = { level: "error", message: "größe\n", fields: { size: 5 }, error: "no" } as const
    assert.deepStrictEqual(Client.parseLogLine(Log.formatEntry(entry).trimEnd()), {
      level: "error",
      message: "größe\n",
      fields: { size: "5", error: "no", "@logSourceSetBy": "plugin" }
    })
  })
})
