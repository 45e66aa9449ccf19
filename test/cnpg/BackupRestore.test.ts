import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { action } from "../../src/cnpg/BackupRestore.ts"
import { assertLine, legacy, makeWorld, pick, pluginConfig, restoreOf, shop, start, startProcess } from "./World.ts"

const item = pick(shop, "Backup", "orders-daily-20261119020000")
const withConfig = (data: Readonly<Record<string, string>>) => startProcess(makeWorld([]), [pluginConfig(data)])

describe("a CNPG Backup", () => {
  it.effect("is skipped, whatever its method and phase", () =>
    Effect.gen(function* () {
      const { process, world } = yield* start([])
      for (const backup of [...shop, ...legacy].filter(({ kind }) => kind === "Backup")) {
        const outcome = yield* process.restore(action, backup)
        assert.isTrue(outcome.skip)
        assert.isTrue(outcome.isUntouched)
        assertLine(outcome.lines, "Info", `Backup ${backup.metadata?.namespace}/${backup.metadata?.name}`)
      }
      assert.deepStrictEqual(world.calls, [])
    })
  )

  it.effect("is restored as it is where restoreBackups says so, with a warning", () =>
    Effect.gen(function* () {
      const outcome = yield* (yield* withConfig({ restoreBackups: "true" })).restore(action, item)
      assert.isFalse(outcome.skip)
      assert.isTrue(outcome.isUntouched)
      assertLine(outcome.lines, "Warn", "Backup shop/orders-daily-20261119020000", "as asked")
    })
  )

  it.effect("is skipped where restoreBackups is false, or not said", () =>
    Effect.gen(function* () {
      assert.isTrue((yield* (yield* withConfig({ restoreBackups: "false" })).restore(action, item)).skip)
      assert.isTrue((yield* (yield* withConfig({})).restore(action, item)).skip)
    })
  )

  it.effect("is restored where the Restore's annotation says so, which is nearer", () =>
    Effect.gen(function* () {
      const wish = (value: string) => restoreOf("r", {}, { "velero-cnpg/restore-backups": value })
      const process = yield* withConfig({ restoreBackups: "false" })
      assert.isFalse((yield* process.restore(action, item, wish("true"))).skip)
      const error = yield* Effect.flip(process.restore(action, item, wish("yes")))
      for (const part of ["velero-cnpg/restore-backups", "Restore r", "true or false"])
        assert.include(error.message, part)
    })
  )

  it.effect.each([
    ["another value", { restoreBackups: "yes" }, "restoreBackups"],
    ["another spelling", { restoreBackups: "True" }, "restoreBackups"],
    ["a key that does not exist", { restoreBackup: "true" }, "restoreBackup"]
  ] as const)("is an error that names ConfigMap and key: %s", ([, data, key]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip((yield* withConfig(data)).restore(action, item))
      assert.strictEqual(error._tag, "InvalidPluginConfig")
      for (const part of ["velero/tested", key]) assert.include(error.message, part)
    })
  )
})

describe("the selector", () => {
  it("asks for Backups, by their full name", () => {
    assert.deepStrictEqual(action.selector, { includedResources: ["backups.postgresql.cnpg.io"] })
  })
})
