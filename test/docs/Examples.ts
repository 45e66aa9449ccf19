/**
 * Examples of docstrings, as programs.
 *
 * As with Effect's own examples, `expression // => value` says what comes out, and is an assertion here. The programs lie in
 * `dist/examples`, where the repository's packages can be imported; the SDK's modules are those of `src`.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { repository } from "../executable/Executable.ts"

export interface Example {
  /** Such as `velero/Json:30`: the module, and the line of it where the example begins. */
  readonly name: string
  readonly code: string
}

/** The ```` ```ts ```` blocks below `@example` in a module's doc comments. */
export const examplesOf = (module: string, source: string): ReadonlyArray<Example> =>
  [...source.matchAll(/^( *)\* @example\n\1\* ```ts\n([\s\S]*?)\n\1\* ```$/gm)].map(
    ([, indent = "", block = ""], index, all) => ({
      name: `${module}:${source.slice(0, all[index]?.index).split("\n").length}`,
      code: block.replaceAll(new RegExp(`^${indent}\\* ?`, "gm"), "")
    })
  )

/** Assertions in place of `// =>`. A statement begins at the beginning of a line. */
export const asserted = (code: string): string => {
  const lines: Array<string> = []
  for (const line of code.split("\n")) {
    const [, last, value] = /^(.*\S)\s+\/\/ => (.*)$/.exec(line) ?? []
    if (last === undefined) {
      lines.push(line)
      continue
    }
    lines.push(last)
    const start = lines.findLastIndex((each) => /^[^\s)\]}]/.test(each))
    const expression = lines.splice(start).join("\n")
    lines.push(`assert.deepStrictEqual(${expression}, ${value})`)
  }
  return lines.join("\n")
}

export const directory = Path.join(repository, "dist", "examples")

/** A whole program; it fails where an assertion does. */
export const programOf = (code: string): string =>
  `import assert from "node:assert/strict"\n${asserted(code).replaceAll(/"velero-plugin-cnpg\/([^"]+)"/g, '"../../src/$1.ts"')}\n`

export const fileOf = ({ name }: Example): string => Path.join(directory, `${name.replaceAll(/[^a-zA-Z0-9]/g, "-")}.ts`)

/** Writes all programs, and what type-checks them. */
export const write = (examples: ReadonlyArray<Example>): void => {
  Fs.rmSync(directory, { recursive: true, force: true })
  Fs.mkdirSync(directory, { recursive: true })
  for (const example of examples) Fs.writeFileSync(fileOf(example), programOf(example.code))
  const config = {
    extends: "../../tsconfig.json",
    compilerOptions: { noUnusedLocals: false, plugins: [] },
    include: ["*.ts"]
  }
  Fs.writeFileSync(Path.join(directory, "tsconfig.json"), JSON.stringify(config))
}
