import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as LogLevel from "effect/LogLevel"
import * as Schema from "effect/Schema"
import * as Flags from "../../src/velero/Flags.ts"

const debug = { LOG_LEVEL: "debug" }

describe("logLevel", () => {
  it.each<readonly [args: ReadonlyArray<string>, env: Record<string, string | undefined>, level: LogLevel.LogLevel]>([
    [[], {}, "Info"],
    // Both spellings, and logrus' names in any case.
    [["--log-level", "debug"], {}, "Debug"],
    [["--log-level=debug"], {}, "Debug"],
    [["--log-level", "trace"], {}, "Trace"],
    [["--log-level", "info"], {}, "Info"],
    [["--log-level", "warn"], {}, "Warn"],
    [["--log-level", "warning"], {}, "Warn"],
    [["--log-level", "error"], {}, "Error"],
    [["--log-level", "fatal"], {}, "Fatal"],
    [["--log-level", "panic"], {}, "Fatal"],
    [["--log-level=DEBUG"], {}, "Debug"],
    // The last one that says something wins.
    [["--log-level", "debug", "--log-level=error"], {}, "Error"],
    [["--log-level=error", "--log-level", "debug"], {}, "Debug"],
    [["--log-level=error", "--log-level", "loud"], {}, "Error"],
    // Whatever else Velero passes on.
    [["run-plugins", "--features", "EnableCSI", "--log-level", "debug", "--plugin-dir=/plugins"], {}, "Debug"],
    [["--log-format=json", "--client-qps", "100", "--", "-x"], {}, "Info"],
    [["--log-levels=debug", "-log-level=debug", "log-level=debug"], {}, "Info"],
    // The variable, where no flag was given.
    [[], debug, "Debug"],
    [["--features", "x"], debug, "Debug"],
    [["--log-level", "error"], debug, "Error"],
    [["--log-level", "loud"], debug, "Info"],
    [["--log-level"], debug, "Info"],
    [["--log-level="], debug, "Info"],
    [[], { LOG_LEVEL: "loud" }, "Info"],
    [[], { LOG_LEVEL: "" }, "Info"],
    [[], { LOG_LEVEL: undefined }, "Info"],
    // Names that every object has.
    [["--log-level", "constructor"], {}, "Info"],
    [["--log-level=__proto__"], {}, "Info"]
  ])("of %j and %j is %s", (args, env, level) => assert.strictEqual(Flags.logLevel(args, env), level))

  const levels = ["Trace", "Debug", "Info", "Warn", "Error", "Fatal"]
  const argument = Schema.Union([
    Schema.String,
    Schema.Literals(["--log-level", "--log-level=", "--log-level=debug", "--", "=", "warn"])
  ])
  it.effect.prop("is a level for any arguments", { args: Schema.Array(argument) }, ({ args }) =>
    Effect.sync(() => assert.include(levels, Flags.logLevel(args, {})))
  )
})

describe("item block actions", () => {
  it.for([
    // Velero up to 1.14.
    [["--log-level", "info"], false],
    [["--log-level", "debug", "--features", "EnableCSI,EnableAPIGroupVersions"], false],
    // Later ones: the server's own arguments.
    [[], true],
    [["--uploader-type=kopia"], true],
    [["--features=EnableCSI", "--uploader-type=kopia"], true],
    [["--log-level=info"], true],
    [["--log-level", "info", "--uploader-type=kopia"], true],
    [["--features", "EnableCSI", "--log-level", "info"], true]
  ] as const)("of a host with %j: %s", ([args, expected]) => {
    assert.strictEqual(Flags.knowsItemBlocks(args), expected)
  })
})
