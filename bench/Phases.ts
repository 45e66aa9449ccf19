/**
 * Where the time of a start goes: executables that do one thing more each, compiled as the real one is, started in turns until their
 * first line.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { compile } from "../src/release/Bundle.ts"
import * as Report from "./Report.ts"

const rounds = 25

const src = Path.resolve(import.meta.dirname, "../src")
const say = `Fs.writeSync(1, "1\\n"); setInterval(() => {}, 1e6)`
const listen = `Bun.listen({ unix: "socket-" + process.pid, socket: { data() {} } })`
const load = `import * as Serve from "${src}/velero/Serve.ts"
import { program } from "${src}/bin/velero-plugin-cnpg.ts"`
const host = `{ command: "x", args: [], env: process.env, writeLog: () => {}, writeHandshake: (line) => Fs.writeSync(1, line), terminated: Effect.never }`

const phases = [
  ["the runtime alone", say],
  ["and a unix socket", `${listen}; ${say}`],
  ["and Effect", `import * as Effect from "effect/Effect"\nEffect.runSync(Effect.sync(() => ${listen})); ${say}`],
  ["and the other modules of a start", `${load}\nglobalThis.kept = [Serve, program]; ${listen}; ${say}`],
  [
    "and serving",
    `${load}\nimport * as Effect from "effect/Effect"\nvoid Effect.runPromise(Serve.serve(program.plugins, program.services, ${host}))`
  ]
] as const

interface Sample {
  readonly start: number
  readonly cpu: number
  readonly resident: number
}

/** Milliseconds to the first line, milliseconds of CPU and MiB of resident memory at that time. */
const start = async (file: string, directory: string): Promise<Sample> => {
  const began = performance.now()
  const child = Bun.spawn([file], {
    cwd: directory,
    stdout: "pipe",
    stderr: "ignore",
    env: { PATH: process.env["PATH"] ?? "", TMPDIR: directory, VELERO_PLUGIN: "hello", PLUGIN_PROTOCOL_VERSIONS: "2" }
  })
  await child.stdout.getReader().read()
  const taken = performance.now() - began
  const status = Fs.readFileSync(`/proc/${child.pid}/status`, "utf8")
  const tasks = Fs.readdirSync(`/proc/${child.pid}/task`)
  const nanos = tasks.map((task) =>
    Number(Fs.readFileSync(`/proc/${child.pid}/task/${task}/schedstat`, "utf8").split(" ")[0])
  )
  child.kill("SIGKILL")
  await child.exited
  return {
    start: taken,
    cpu: nanos.reduce((sum, each) => sum + each, 0) / 1e6,
    resident: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
  }
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

/** A table of phases. */
export const measure = (directory: string): Effect.Effect<string> =>
  Effect.promise(async () => {
    const files: Array<readonly [label: string, file: string]> = []
    for (const [index, [label, text]] of phases.entries()) {
      const source = Path.join(import.meta.dirname, `.phase-${index}.ts`)
      Fs.writeFileSync(source, `import * as Fs from "node:fs"\n${text}\n`)
      try {
        await compile(Path.join(directory, `phase-${index}`), undefined, undefined, [source])
      } finally {
        Fs.rmSync(source)
      }
      files.push([label, Path.join(directory, `phase-${index}`)])
    }
    files.push(["the executable", Path.resolve(import.meta.dirname, "../dist/velero-plugin-cnpg")])
    const samples = new Map<string, Array<Sample>>(files.map(([label]) => [label, []]))
    for (let round = 0; round < rounds; round++) {
      for (const [label, file] of files) samples.get(label)?.push(await start(file, directory))
    }
    const of = (label: string, key: keyof Sample) => median((samples.get(label) ?? []).map((sample) => sample[key]))
    return Report.markdown([
      ["", "start", "CPU", "resident"],
      ...files.map(([label]) => [
        label,
        `${of(label, "start").toFixed(1)} ms`,
        `${of(label, "cpu").toFixed(1)} ms`,
        `${of(label, "resident").toFixed(1)} MiB`
      ])
    ])
  })
