import { spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { program as cnpg } from "../../src/bin/velero-plugin-cnpg.ts"
import { program as filesystem } from "../../src/bin/velero-plugin-filesystem.ts"
import * as Documents from "../example/Document.ts"
import { capture } from "./Capture.ts"

/** What bash offers behind these words, by the script that the executable prints. */
const offered = async (name: string, run: typeof cnpg.commands, words: ReadonlyArray<string>) => {
  const { code, stdout: script } = await capture(() => run(["--completions", "bash"]))
  assert.strictEqual(code, 0)
  const asked = `
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=\${#COMP_LINE}
    function=$(complete -p ${name} | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    "$function"
    printf '%s\\n' "\${COMPREPLY[@]}"`
  const { status, stderr, stdout } = spawnSync(
    "bash",
    ["--norc", "-c", `${script}\n${asked}`, "bash", name, ...words],
    {
      encoding: "utf8"
    }
  )
  assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
  return stdout.trim().split("\n").toSorted()
}

describe("completion in bash", () => {
  it("offers the commands of docs/commands.md", async () => {
    const rows = [...Documents.read("docs/commands.md").matchAll(/^\| (`.*?`) +\| ([a-z, ]+?) +\|/gm)]
    const documented = (pack: string) =>
      rows
        .filter(([, , packs = ""]) => packs === "every" || packs.split(", ").includes(pack))
        .flatMap(([, commands = ""]) => [...commands.matchAll(/`([a-z-]+)/g)].map(([, command = ""]) => command))
        .toSorted()
    assert.deepStrictEqual(await offered("velero-plugin-cnpg", cnpg.commands, [""]), documented("cnpg"))
    assert.deepStrictEqual(
      await offered("velero-plugin-filesystem", filesystem.commands, [""]),
      documented("filesystem")
    )
  })

  it("offers a command's flags, and their values", async () => {
    const after = (...words: ReadonlyArray<string>) => offered("velero-plugin-cnpg", cnpg.commands, words)
    assert.deepStrictEqual(await after("doctor", "--con"), ["--context"])
    assert.deepStrictEqual(await after("plugins", "--output", ""), ["json", "text"])
  })
})
