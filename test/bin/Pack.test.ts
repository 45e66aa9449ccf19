import { assert, describe, it } from "@effect/vitest"
import { executables, type Pack, packOf, packs } from "../../src/bin/Pack.ts"

describe("packOf", () => {
  it.each<{ readonly startedAs: string; readonly file: string; readonly pack: Pack }>([
    ...packs.map((pack) => ({
      startedAs: `/plugins/${executables[pack]}`,
      file: `/plugins/${executables[pack]}`,
      pack
    })),
    { startedAs: "velero-plugin-kyma", file: "/usr/bin/velero-plugin-kyma", pack: "kyma" },
    { startedAs: "/plugins/velero-plugin-kyma-v0.1.0", file: "/plugins/velero-plugin-kyma-v0.1.0", pack: "kyma" },
    // A link of one pack's name to another's file, and a link of any name.
    { startedAs: "/bin/velero-plugin-filesystem", file: "/bin/velero-plugin-cnpg", pack: "filesystem" },
    { startedAs: "./plugin", file: "/bin/velero-plugin-example", pack: "example" },
    // Neither is a pack's name.
    { startedAs: "velero-plugin-kymaesque", file: "/proc/1/exe", pack: "cnpg" },
    { startedAs: "my-velero-plugin-kyma", file: "/my-velero-plugin-kyma", pack: "cnpg" },
    { startedAs: "", file: "", pack: "cnpg" }
  ])("$startedAs, which is $file, is $pack", ({ file, pack, startedAs }) => {
    assert.strictEqual(packOf(startedAs, file), pack)
  })
})
