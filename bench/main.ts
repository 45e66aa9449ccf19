/**
 * `npm run bench`: this project's executable beside a Go plugin that does the same, Velero's own, and any other.
 *
 * The measuring is done by a Go program (`host/`), which takes turns between the candidates, so that a noisy machine hurts all alike:
 * the ratios count, not the times.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import packageJson from "../package.json" with { type: "json" }
import * as Build from "../test/e2e/Build.ts"
import * as Components from "../test/e2e/Components.ts"
import * as Processes from "../test/e2e/Processes.ts"
import * as Terminal from "../test/e2e/Terminal.ts"
import * as Guard from "./Guard.ts"
import * as Phases from "./Phases.ts"
import * as Report from "./Report.ts"
import type { Series } from "./Rows.ts"
import { rows } from "./Rows.ts"

const ours = "velero-plugin-cnpg"
const peer = "go-peer"
const [veleroVersion] = Components.veleroVersions
const measures = ["file", "start", "execute", "concurrent", "memory", "cluster", "cpu", "store", "scale"] as const

class BenchFailed extends Data.TaggedError("BenchFailed")<{ readonly message: string }> {}

interface Candidate {
  readonly name: string
  readonly file: string
  readonly args: ReadonlyArray<string>
  readonly store: string
}

/** Builds with the versions that go.mod pins; the first time downloads Velero. */
const build = (directory: string, name: string, target: string) =>
  Effect.gen(function* () {
    const { run } = yield* Processes.Processes
    const file = Path.join(directory, name)
    yield* run(
      "go",
      ["build", "-C", import.meta.dirname, "-trimpath", "-ldflags", "-s -w", "-o", file, target],
      // As Velero and its plugins are built.
      { inheritEnv: true, env: { CGO_ENABLED: "0", GOWORK: "off" } }
    )
    return file
  })

/** What the runtime alone weighs: an executable of an empty program. */
const emptyExecutable = (directory: string) =>
  Effect.gen(function* () {
    const { run } = yield* Processes.Processes
    const [source, file] = [Path.join(directory, "empty.ts"), Path.join(directory, "empty")]
    Fs.writeFileSync(source, "")
    yield* run(process.execPath, ["build", "--compile", source, "--outfile", file], { inheritEnv: true })
    return file
  })

/** One run of the host for each measure, so that people see where it is. */
const measure = Effect.fnUntraced(function* (
  directory: string,
  candidates: ReadonlyArray<Candidate>,
  chosen: ReadonlyArray<string>,
  scale: number
) {
  const { run } = yield* Processes.Processes
  const host = yield* build(directory, "host", "./host")
  const files = ["request.json", "series.jsonl"].map((name) => Path.join(directory, name)) as [string, string]
  const data = Path.join(directory, "data")
  Fs.mkdirSync(data)
  const series = yield* Effect.forEach(chosen, (name) =>
    Effect.gen(function* () {
      Fs.writeFileSync(files[0], JSON.stringify({ candidates, measures: [name], directory: data, scale }))
      yield* Terminal.during(
        `measure ${name}`,
        run("sh", ["-c", `"$0" < "$1" > "$2"`, host, ...files], { inheritEnv: true })
      )
      return Fs.readFileSync(files[1], "utf8").trim().split("\n")
    })
  )
  return series.flat().map((line) => JSON.parse(line) as Series)
})

const machine = (): string => {
  const model = /model name\s*:\s*(.*)/.exec(Fs.readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? process.arch
  return `${navigator.hardwareConcurrency} cores, ${model.trim()}`
}

const command = Command.make(
  "bench",
  {
    plugin: Flag.String("plugin").pipe(
      Flag.atLeast(0),
      Flag.withMetavar("FILE"),
      Flag.withDescription("One more plugin executable to measure; may be given several times")
    ),
    velero: Flag.Boolean("velero").pipe(
      Flag.withDefault(true),
      Flag.withDescription("Velero's own plugins too (builds Velero); --no-velero leaves them out")
    ),
    only: Flag.String("only").pipe(
      Flag.optional,
      Flag.withMetavar("NAME,..."),
      Flag.withDescription(`What to measure: ${measures.join(", ")}`)
    ),
    quick: Flag.Boolean("quick").pipe(
      Flag.withDefault(false),
      Flag.withDescription("A tenth of everything: for a look, not for the record")
    ),
    guard: Flag.Boolean("guard").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Fail where a ratio is far worse than what was reached (see bench/Guard.ts); quick")
    ),
    phases: Flag.Boolean("phases").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Instead: where the time of a start goes, by executables that do one thing more each")
    ),
    json: Flag.String("json").pipe(Flag.optional, Flag.withMetavar("FILE"), Flag.withDescription("Writes the series")),
    svg: Flag.String("svg").pipe(Flag.optional, Flag.withMetavar("FILE"), Flag.withDescription("Writes the plot"))
  },
  Effect.fnUntraced(function* ({ guard, json, only, phases, plugin, quick, svg, velero }) {
    const chosen = guard
      ? Guard.measures
      : Option.match(only, { onNone: () => measures, onSome: (it) => it.split(",") })
    const unknown = chosen.find((name) => !measures.some((known) => known === name))
    if (unknown !== undefined) {
      return yield* new BenchFailed({ message: `there is no measure ${unknown}; there are ${measures.join(", ")}` })
    }
    const dist = Path.join(import.meta.dirname, "../dist")
    for (const file of [Path.join(dist, ours), ...plugin]) {
      if (!Fs.existsSync(file)) {
        return yield* new BenchFailed({ message: `${file} does not exist; npm run build makes this project's in dist` })
      }
    }
    const { directory } = yield* Processes.Processes
    if (phases) return yield* Terminal.line(yield* Phases.measure(directory))
    const { value: built } = yield* Terminal.during(
      "build the candidates and the host",
      Effect.gen(function* () {
        const go = yield* build(directory, peer, "./go-peer")
        const list: Array<Candidate> = [
          { name: ours, file: Path.join(dist, ours), args: [], store: Path.join(dist, "velero-plugin-filesystem") },
          { name: peer, file: go, args: [], store: go }
        ]
        if (velero && !guard) {
          const { bin } = yield* Build.build(Components.velero(veleroVersion))
          list.push({ name: "velero", file: bin("velero"), args: ["run-plugins"], store: "" })
        }
        for (const file of plugin) list.push({ name: Path.basename(file), file, args: [], store: "" })
        return list
      })
    )
    const scale = quick || guard ? 10 : 1
    const series = yield* measure(directory, built, chosen, scale)
    const empty = yield* emptyExecutable(directory)
    const names = built.map(({ name }) => name)
    const all = rows(series)
    if (guard) return yield* Guard.judge(all, ours, peer)
    yield* Terminal.line(`\n${machine()}\n\n${Report.table(all, names, ours, peer)}\n`)
    yield* Terminal.line(`${Report.scaleTable(all, ours, peer)}\n`)
    const mebibytes = (file: string) => (Fs.statSync(file).size / 1024 / 1024).toFixed(1)
    yield* Terminal.line(
      `An empty Bun executable: ${mebibytes(empty)} MiB; ${ours}: ${mebibytes(Path.join(dist, ours))} MiB (at most 4 MiB more)`
    )
    for (const file of Option.toArray(json)) {
      Fs.writeFileSync(file, `${JSON.stringify({ machine: machine(), series }, undefined, 1)}\n`)
    }
    for (const file of Option.toArray(svg)) Fs.writeFileSync(file, Report.plot(all, ours, peer))
  })
).pipe(Command.withDescription("Measures plugin executables side by side"))

NodeRuntime.runMain(
  Command.run(command, { version: packageJson.version }).pipe(
    Effect.tapError((error) =>
      CliError.isCliError(error)
        ? Effect.void
        : Effect.sync(() => void process.stderr.write(`bench: ${String(error.message)}\n`))
    ),
    Effect.provide(Layer.mergeAll(Processes.layer, NodeServices.layer))
  ),
  { disableErrorReporting: true }
)
