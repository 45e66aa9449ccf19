/**
 * `npm run e2e`: builds the servers, starts a stand, runs scenarios on it, prints the table, and ends everything that it started.
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
import packageJson from "../../package.json" with { type: "json" }
import { operatorVersions, veleroVersions } from "./Components.ts"
import * as Given from "./Given.ts"
import { executables } from "./Packs.ts"
import * as Processes from "./Processes.ts"
import * as Report from "./Report.ts"
import * as Run from "./Run.ts"
import type { Pair, Scenario } from "./Scenario.ts"
import { newest, older, packsOf } from "./Scenario.ts"
import { scenarios } from "./scenarios/All.ts"
import * as Shop from "./scenarios/Shop.ts"
import { Stand } from "./Stand.ts"
import * as Terminal from "./Terminal.ts"

/** The run came to its end, and a scenario failed. */
class ScenarioFailed extends Data.TaggedError("ScenarioFailed") {}

/** What was asked for cannot be done. */
class NotUnderstood extends Data.TaggedError("NotUnderstood")<{ readonly message: string }> {}

const planOf = (
  chosen: ReadonlyArray<Scenario>,
  pair: Pair,
  matrix: "core" | "full" | "older"
): ReadonlyArray<Run.Step> => [
  ...(matrix === "older" ? [] : [{ pair, scenarios: chosen }]),
  ...(matrix === "core" ? [] : older.map((pair) => ({ pair, scenarios: chosen.filter(({ core }) => core) })))
]

/** The scenarios that `--only` names. */
const choose = Effect.fnUntraced(function* (only: string | undefined) {
  if (only === undefined) return scenarios
  const names = only.split(",")
  const unknown = names.find((name) => !scenarios.some((scenario) => scenario.name === name))
  if (unknown !== undefined) {
    return yield* new NotUnderstood({
      message: `there is no scenario ${unknown}; there are ${scenarios.map(({ name }) => name).join(", ")}`
    })
  }
  return scenarios.filter(({ name }) => names.includes(name))
})

const example = Effect.gen(function* () {
  const { kubeconfig, kubectlPath, veleroPath } = yield* Stand
  const { directory } = yield* Processes.Processes
  yield* Shop.create("shop")
  return `
The stand runs until Ctrl-C. Cluster shop/orders is archived and backed up. In another terminal:

  export KUBECONFIG=${kubeconfig("admin")}
  export PATH=${Path.dirname(kubectlPath)}:${Path.dirname(veleroPath())}:$PATH

  velero backup create shop --include-namespaces shop --wait
  velero restore create shop2 --from-backup shop --namespace-mappings shop:shop2 --wait
  kubectl get -n shop2 clusters,jobs,backups.postgresql.cnpg.io,pvc,configmaps
  velero restore logs shop2

No kubelet runs: pods stay Pending. Logs of the servers: ${Path.join(directory, "logs")}
`
})

const command = Command.make(
  "e2e",
  {
    keep: Flag.Boolean("keep").pipe(
      Flag.withDefault(false),
      Flag.withDescription("Instead of scenarios: a stand with a Cluster to play with, until Ctrl-C")
    ),
    plugin: Flag.String("plugin").pipe(
      Flag.withDefault("dist/velero-plugin-cnpg"),
      Flag.withMetavar("FILE"),
      Flag.withDescription("Executable of the CNPG pack")
    ),
    packs: Flag.String("packs").pipe(
      Flag.withDefault("dist"),
      Flag.withMetavar("DIR"),
      Flag.withDescription("Folder with the executables of the other packs")
    ),
    chart: Flag.String("chart").pipe(
      Flag.optional,
      Flag.withMetavar("PATH"),
      Flag.withDescription("Velero's Helm chart, as helm pull brings it, for the scenario helm-chart")
    ),
    goPlugin: Flag.String("go-plugin").pipe(
      Flag.optional,
      Flag.withMetavar("FILE"),
      Flag.withDescription("Executable of the Go plugin, for the scenario go-backup")
    ),
    only: Flag.String("only").pipe(
      Flag.optional,
      Flag.withMetavar("NAME,..."),
      Flag.withDescription(`Scenarios to run: ${scenarios.map(({ name }) => name).join(", ")}`)
    ),
    json: Flag.String("json").pipe(
      Flag.optional,
      Flag.withMetavar("FILE"),
      Flag.withDescription("Writes each result there, in place of an earlier one of the same versions and scenario")
    ),
    rights: Flag.Literals("rights", ["least", "all"]).pipe(
      Flag.withDefault("least"),
      Flag.withDescription("Of the CNPG pack in the cluster: least is what deploy/rbac.yaml grants")
    ),
    matrix: Flag.Literals("matrix", ["core", "full", "older"]).pipe(
      Flag.withDefault("core"),
      Flag.withDescription("full: besides, the most important scenarios on older versions; older: on these alone")
    ),
    velero: Flag.Literals("velero", veleroVersions).pipe(
      Flag.withDefault(newest.velero),
      Flag.withDescription("Version of Velero")
    ),
    operator: Flag.Literals("cnpg", operatorVersions).pipe(
      Flag.withDefault(newest.operator),
      Flag.withDescription("Version of CloudNativePG's operator")
    )
  },
  Effect.fnUntraced(function* ({ chart, goPlugin, json, keep, matrix, only, operator, packs, plugin, rights, velero }) {
    const chosen = yield* choose(Option.getOrUndefined(only))
    const files = executables(plugin, packs)
    const given = Given.absolute({
      goPlugin: Option.getOrUndefined(goPlugin),
      chart: Option.getOrUndefined(chart)
    })
    const absent = Given.missing(given)
    if (absent !== undefined) return yield* new NotUnderstood({ message: `${absent} does not exist` })
    for (const pack of keep ? (["cnpg"] as const) : new Set(chosen.flatMap(packsOf))) {
      if (!Fs.existsSync(files[pack])) {
        return yield* new NotUnderstood({ message: `${files[pack]} does not exist; npm run build makes it in dist` })
      }
    }
    const pair = { velero, operator }
    if (keep) return yield* Run.keep(pair, files, rights, example)
    const results = yield* Run.run(planOf(chosen, pair, matrix), files, given, rights, (result) => {
      for (const file of Option.toArray(json)) Report.write(file, [result])
    })
    yield* Terminal.line(`\n${Report.table(results, process.stdout.columns ?? 160)}\n`)
    if (results.some(({ outcome }) => outcome === "failed")) {
      yield* Terminal.line(`Logs of the servers: ${yield* Processes.Processes.use(({ keepLogs }) => keepLogs)}\n`)
    }
    yield* Terminal.line(Report.summary(results))
    if (results.some(({ outcome }) => outcome === "failed")) return yield* new ScenarioFailed()
  })
).pipe(Command.withDescription("Proof on real servers: what the CloudNativePG operator does after Velero restores"))

const reportError = (error: { readonly _tag: string; readonly message: string }): Effect.Effect<void> =>
  // The results, and the command line's own errors with the help, have been shown already.
  error._tag === "ScenarioFailed" || CliError.isCliError(error)
    ? Effect.void
    : Effect.sync(() => void process.stderr.write(`e2e: ${error.message}\n`))

NodeRuntime.runMain(
  Command.run(command, { version: packageJson.version }).pipe(
    Effect.tapError(reportError),
    Effect.provide(Layer.mergeAll(Processes.layer, NodeServices.layer))
  ),
  { disableErrorReporting: true }
)
